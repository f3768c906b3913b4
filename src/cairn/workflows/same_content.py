"""Which tensors are known to hold equal bytes without reading any: the store keeps them once."""

from collections.abc import Hashable, Iterable
from contextlib import ExitStack

from cairn.errors import BlobNotFoundError, IntegrityError, UntrustedDataError
from cairn.formats.folder import beside
from cairn.workflows.readable import ReadableCheckpoint
from cairn.workflows.stored_file import StoredFile
from cairn.workflows.tensor_pairs import Pair, Placed


def with_same_content(
    before: ReadableCheckpoint, after: ReadableCheckpoint, pairs: Iterable[Pair]
) -> tuple[Pair, ...]:
    """The pairs, those marked whose bytes are stored once for both sides."""
    with ExitStack() as stack:
        left, right = _Names(before, stack), _Names(after, stack)
        found = []
        for pair in pairs:
            name = left.of(pair.before)
            same = pair.is_same or (name is not None and name == right.of(pair.after))
            found.append(Pair(pair.before, pair.after, is_same=same))
        return tuple(found)


class _Names:
    """Names of tensors' contents in one checkpoint, each file opened once."""

    def __init__(self, side: ReadableCheckpoint, stack: ExitStack) -> None:
        self._side = side
        self._stack = stack
        self._opened: dict[str, StoredFile | None] = {}

    def of(self, one: Placed) -> Hashable | None:
        """Equal names mean equal values of one dtype and shape; None where nothing is known."""
        tensor = one.tensor
        form = (tensor.dtype, tensor.shape, tensor.strides, tensor.big_endian)
        if not tensor.pieces:
            content = self._content(one.path, tensor.span.start, tensor.span.stop)
            return None if content is None else (form, content)
        pieces: list[Hashable] = []
        for piece in tensor.pieces:
            try:
                path = beside(one.path, piece.path) if piece.path else one.path
            except UntrustedDataError:
                return None
            content = self._content(path, piece.span.start, piece.span.stop)
            if content is None:
                return None
            pieces.append((piece.start, piece.shape, piece.encoding, piece.skip_bytes, content))
        return form, tuple(pieces)

    def _content(self, path: str, start: int, stop: int) -> Hashable | None:
        if path not in self._opened:
            self._opened[path] = self._open(path)
        stored = self._opened[path]
        return None if stored is None else stored.reader.content_of(start, stop)

    def _open(self, path: str) -> StoredFile | None:
        file = self._side.files.get(path)
        if file is None:
            return None
        try:
            source = self._stack.enter_context(file.open())
        except (BlobNotFoundError, IntegrityError, UntrustedDataError):
            return None  # reading the values will say what is wrong
        return source if isinstance(source, StoredFile) else None
