"""Turns a blob's bytes into parts in new packs and the recipe that names them."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from blake3 import blake3

from cairn.domain import Blob, DType, Layout, Source
from cairn.errors import IntegrityError
from cairn.store.admission import Admission
from cairn.store.base_parts import BaseParts
from cairn.store.cutting import MAX_PART_BYTES, Piece, cut
from cairn.store.deriving import Plan, Way
from cairn.store.low_rank_update import LowRankUpdate
from cairn.store.packs import Encoded
from cairn.store.parts import Packing, PartStore
from cairn.store.planning import Planner
from cairn.store.recipes import Part, Recipe, Slice
from cairn.store.stopping import StoppedError

ENCODE_WORKERS = 2
# Parts being encoded or waiting for their turn in the pack: bounds memory to a few parts.
MAX_FLYING = 4

Progress = Callable[[int], None]


@dataclass(slots=True)
class _Glue:
    """Pieces too small for parts of their own, gathered into the part with this number."""

    number: int
    data: bytearray


class _Held:
    """A source of which one run lies in memory: what is sampled of a piece is not read again."""

    def __init__(self, source: Source, start: int, data: bytes) -> None:
        self._source = source
        self._start = start
        self._data = data

    @property
    def name(self) -> str:
        """That of the whole."""
        return self._source.name

    @property
    def size_bytes(self) -> int:
        """That of the whole."""
        return self._source.size_bytes

    def read_at(self, offset: int, length: int) -> bytes:
        """See `Source.read_at`."""
        first = offset - self._start
        if first < 0 or first + length > len(self._data):
            return self._source.read_at(offset, length)
        return self._data[first : first + length]


class RecipeDraft:
    """A recipe in the making: takes the blob's pieces in order and adds unknown parts."""

    def __init__(
        self, store: PartStore, packing: Packing, planner: Planner | None, admission: Admission
    ) -> None:
        """Without a planner every part that is written is kept alone."""
        self._store = store
        self._planner = planner
        self._bases = BaseParts(store) if planner is None else planner.parts
        self._admission = admission
        self._packing = packing
        self._parts: list[Part | None] = []  # None: glue still being gathered
        self._slices: list[Slice] = []
        self._numbers: dict[bytes, int] = {}
        self._glue: _Glue | None = None
        self._update: LowRankUpdate | None = None
        self._flying: deque[tuple[bytes, bytes, Future[Encoded | None]]] = deque()
        self._turn = 0  # of the part that is encoded next
        self._workers = ThreadPoolExecutor(ENCODE_WORKERS, "cairn-encode")

    def add(self, data: bytes, piece: Piece, source: Source) -> None:
        """A piece that is a part by itself, read from `source`."""
        digest = blake3(data).digest()
        if self._planner is not None:
            self._planner.candidates.see(_Held(source, piece.span.start, data), piece, digest)
        number = self._numbers.get(digest)
        if number is None:
            number = len(self._parts)
            self._parts.append(None)
            self._fill(number, digest, data, piece, source)
        self._slices.append(Slice(number, 0, len(data)))
        if self._planner is not None:
            self._planner.candidates.seen(piece)

    def add_glue(self, data: bytes) -> None:
        """A piece that shares a part with other glue."""
        glue = self._glue
        if glue is not None and len(glue.data) + len(data) > MAX_PART_BYTES:
            self._close_glue()
            glue = None
        if glue is None:
            glue = self._glue = _Glue(len(self._parts), bytearray())
            self._parts.append(None)
        start = len(glue.data)
        glue.data += data
        self._slices.append(Slice(glue.number, start, len(glue.data)))

    def finish(self, blob: Blob) -> Recipe:
        """The recipe; its parts are durable."""
        self._close_glue()
        self.keep()
        parts = [part for part in self._parts if part is not None]
        assert len(parts) == len(self._parts)
        return Recipe.of(blob, parts, self._slices)

    def keep(self) -> None:
        """Make the parts added so far durable; glue that is still being gathered is not."""
        while self._flying:
            self._land()
        self._packing.seal()

    def close(self) -> None:
        """Stop the workers."""
        self._workers.shutdown(wait=True, cancel_futures=True)

    def _close_glue(self) -> None:
        if self._glue is not None:
            data = bytes(self._glue.data)
            self._fill(self._glue.number, blake3(data).digest(), data, None, None)
            self._glue = None

    def _fill(
        self, number: int, digest: bytes, data: bytes, piece: Piece | None, source: Source | None
    ) -> None:
        part = Part(digest, len(data))
        self._parts[number] = part
        seen = digest in self._numbers
        self._numbers.setdefault(digest, number)
        if seen or self._admission.is_kept(part):
            return
        planner = self._planner
        ways: list[Way] = []
        if planner is not None and piece is not None and source is not None:
            ways = planner.ways(_Held(source, piece.span.start, data), piece, data)
            for way in ways:
                self._add_update(way.plan)
        while len(self._flying) >= MAX_FLYING:
            self._land()
        dtype = piece.dtype if piece else None
        turn, self._turn = self._turn, self._turn + 1
        encoded = self._workers.submit(self._encoded, turn, ways, data, digest, dtype)
        self._flying.append((digest, data, encoded))
        if planner is not None and piece is not None and piece.storage and source is not None:
            planner.parts.expect(digest, source, piece.span, turn, encoded)

    def _encoded(
        self, turn: int, ways: list[Way], data: bytes, digest: bytes, dtype: DType | None
    ) -> Encoded | None:
        with self._bases.in_turn(turn):
            return self._admission.encode(ways, data, digest, dtype, self._bases)

    def _add_update(self, plan: Plan) -> None:
        """Write the parts that an update is kept in, once: no recipe will name them."""
        if plan.update is None or plan.update is self._update:
            return
        self._update = plan.update
        for encoded in plan.update.encoded(self._store.codecs):
            if not self._store.lasting(Part(encoded.digest, encoded.plain_bytes)):
                self._packing.add(encoded)

    def _land(self) -> None:
        digest, data, coming = self._flying.popleft()
        encoded = coming.result()
        if encoded is not None:
            encoded = self._admission.admitted(encoded, data)
        if encoded is None:
            self._bases.leave(digest)
        else:
            self._packing.add(encoded)
            self._bases.take(encoded)


def encode_blob(
    source: Source,
    blob: Blob,
    layout: Layout | None,
    store: PartStore,
    packing: Packing,
    planner: Planner | None,
    progress: Progress | None = None,
    admission: Admission | None = None,
) -> Recipe:
    """Cut, encode and pack a whole blob; returns its recipe, not yet written anywhere.

    Raises:
        IntegrityError: the source ends early, or a part it shares is damaged.
        StoppedError: `progress` raised it; the parts encoded so far are durable.
    """
    draft = RecipeDraft(store, packing, planner, admission or Admission(store))
    try:
        for piece in cut(blob.size_bytes, layout):
            span = piece.span
            data = source.read_at(span.start, span.size_bytes)
            if len(data) != span.size_bytes:
                raise IntegrityError(f"blob {blob.digest} ends early at byte {span.start}")
            if piece.glue:
                draft.add_glue(data)
            else:
                draft.add(data, piece, source)
            if progress is not None:
                progress(len(data))
        return draft.finish(blob)
    except StoppedError:
        draft.keep()
        raise
    finally:
        draft.close()
