"""Finds, reads and adds parts: runs of plain bytes kept once, under their BLAKE3-256."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

from cairn.errors import IntegrityError
from cairn.plugins import Registry
from cairn.store.backends import Backend, ObjectNotFoundError
from cairn.store.codec import Codec
from cairn.store.keys import condemned_key, pack_key
from cairn.store.pack_index import PackIndex, write_index
from cairn.store.packs import (
    RECORD_HEAD_BYTES,
    Encoded,
    PackDraft,
    Record,
    SealedPack,
    decode,
    parse_record_head,
)
from cairn.store.part_index import PartIndex, Place
from cairn.store.recipes import Part

# Big enough that a terabyte is a few thousand files, small enough that gc can rewrite one
# in a second and that a crash wastes little.
PACK_TARGET_BYTES = 128 << 20
DECODE_WORKERS = 2


class PartStore:
    """The parts of one store; thread-safe, and fresh when other processes change packs."""

    def __init__(
        self,
        backend: Backend,
        codecs: Registry[Codec],
        pack_target_bytes: int = PACK_TARGET_BYTES,
    ) -> None:
        self.backend = backend
        self.codecs = codecs
        self.index = PartIndex(backend)
        self.pack_target_bytes = pack_target_bytes
        self._pool: ThreadPoolExecutor | None = None
        self._pool_lock = threading.Lock()

    def read(self, part: Part) -> memoryview:
        """The plain bytes of a part.

        Raises:
            IntegrityError: no pack holds it whole; names the packs and offsets looked at.
        """
        problems: list[str] = []
        for place in self._places(part.digest):
            try:
                record, stored = self._fetch(place)
                if record.digest != part.digest:
                    continue  # another part whose digest starts alike
                if record.plain_bytes != part.plain_bytes:
                    raise IntegrityError(f"holds {record.plain_bytes} bytes")
                return decode(record, stored, self.codecs)
            except IntegrityError as error:
                problems.append(f"pack {place.pack_id} at byte {place.offset}: {error}")
        found = "; ".join(problems) or "no pack holds it"
        raise IntegrityError(
            f"part {part.digest.hex()} of {part.plain_bytes} bytes is damaged or lost: {found}."
            " Run `cairn store verify`, then upload the file again or restore a backup"
        )

    def _places(self, digest: bytes) -> Iterator[Place]:
        """Known places, then, when those did not serve, what a fresh look at the packs gives."""
        tried = self.index.find(digest)
        yield from tried
        self.index.refresh()
        yield from [place for place in self.index.find(digest) if place not in tried]

    def _fetch(self, place: Place) -> tuple[Record, memoryview]:
        length = RECORD_HEAD_BYTES + place.stored_bytes
        try:
            with self.backend.open(pack_key(place.pack_id)) as pack:
                data = memoryview(pack.read_at(place.offset, length))
        except ObjectNotFoundError:
            raise IntegrityError("the pack is gone") from None
        record = parse_record_head(data[:RECORD_HEAD_BYTES], place.offset)
        if record.total_bytes != length or len(data) != length:
            raise IntegrityError("the record is cut short or not where the index says")
        return record, data[RECORD_HEAD_BYTES:]

    def lasting(self, part: Part) -> bool:
        """Whether a new recipe may name this part; looks at what the index knows already."""
        for place in self.index.find_lasting(part.digest):
            try:
                with self.backend.open(pack_key(place.pack_id)) as pack:
                    head = pack.read_at(place.offset, RECORD_HEAD_BYTES)
                record = parse_record_head(head, place.offset)
            except (IntegrityError, ObjectNotFoundError):
                continue
            if record.digest == part.digest and record.plain_bytes == part.plain_bytes:
                return True
        return False

    def pool(self) -> ThreadPoolExecutor:
        """The workers that decode ahead, shared by all streams of this store."""
        with self._pool_lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(DECODE_WORKERS, "cairn-decode")
            return self._pool

    def packing(self) -> "Packing":
        """Begin to add parts; the caller holds the maintenance lock."""
        return Packing(self)


class Packing:
    """Adds encoded parts to new packs, sealing each when it is big enough.

    A context manager: leaving it without `seal` drops the pack that is still open. Packs
    sealed before are sound and unused; gc takes them.
    """

    def __init__(self, parts: PartStore) -> None:
        self._parts = parts
        self._open: PackDraft | None = None
        self.sealed: list[SealedPack] = []

    def add(self, part: Encoded) -> None:
        """Append one part."""
        if self._open is None:
            self._open = PackDraft(self._parts.backend.draft())
        self._open.append(part)
        if self._open.size_bytes >= self._parts.pack_target_bytes:
            self.seal()

    def seal(self) -> None:
        """Make what was added durable and findable."""
        if self._open is None:
            return
        pack, draft = self._open.finish(), self._open.draft
        index = PackIndex.of(pack.records, pack.size_bytes)
        backend = self._parts.backend
        # Index first: whoever sees the pack finds its index too.
        write_index(backend, pack.id, index)
        # The same pack may exist: damaged, so these bytes heal it, or condemned by an earlier
        # gc, so it is wanted again. Replacing bytes by equal ones disturbs no reader.
        draft.replace(pack_key(pack.id))
        self._open = None
        backend.delete(condemned_key(pack.id))
        self._parts.index.add(pack.id, index)
        self.sealed.append(pack)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._open is not None:
            self._open.draft.discard()
            self._open = None
