"""Whether the files that a checkpoint's tensors lie in are there, and long enough."""

from collections.abc import Iterable, Iterator

from cairn.domain import TensorInfo
from cairn.errors import UntrustedDataError
from cairn.formats.folder import Files, beside


def unreachable(
    path: str, tensors: Iterable[TensorInfo], files: Files
) -> Iterator[tuple[str, str]]:
    """The files that tensors listed by `path` lie in and cannot be read from, each with why."""
    ends: dict[str, int] = {}
    for tensor in tensors:
        for piece in tensor.pieces:
            if piece.path:
                ends[piece.path] = max(ends.get(piece.path, 0), piece.span.stop)
    for reference, end in sorted(ends.items()):
        try:
            name = beside(path, reference)
        except UntrustedDataError as error:
            yield path, str(error)
            continue
        file = files.get(name)
        if file is None:
            yield name, f"{path} keeps tensors in it, and it is not there"
        elif file.leads_out:
            yield name, f"{path} keeps tensors in it, and it is a link out of the checkpoint"
        elif file.size_bytes < end:
            yield name, f"{path} keeps tensors in its first {end} bytes, it has {file.size_bytes}"
