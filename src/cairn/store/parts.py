"""Finds, reads and adds parts: runs of plain bytes kept once, under their BLAKE3-256."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
from blake3 import blake3

from cairn.errors import IntegrityError, UnavailableError
from cairn.plugins import Registry
from cairn.store.backends import Backend, Draft, ObjectNotFoundError
from cairn.store.bases import BASE_BYTES, MAX_DEPTH, Base, parse_bases
from cairn.store.codec import Codec
from cairn.store.decoding import DERIVED_HEAD_BYTES, Fetch, coding_of, decode_into
from cairn.store.format_mark import bring_up_to_date
from cairn.store.keys import condemned_key, pack_index_key, pack_key
from cairn.store.pack_index import PackIndex, write_index
from cairn.store.packs import (
    RECORD_HEAD_BYTES,
    Encoded,
    PackDraft,
    Record,
    SealedPack,
    parse_record_head,
)
from cairn.store.part_index import PartIndex, Place
from cairn.store.plain_cache import PlainCache
from cairn.store.recipes import Part, Recipe
from cairn.store.scratch import Scratch
from cairn.store.stored_records import OtherPartError, stored_record

# Big enough that a terabyte is a few thousand files, small enough that gc can rewrite one
# in a second and that a crash wastes little.
PACK_TARGET_BYTES = 128 << 20
DECODE_WORKERS = 2
# A part in another type than its base overlaps with two bases or more, its neighbour with the
# last of them.
BASE_CACHE_BYTES = 16 << 20

Made = TypeVar("Made")


def _lost(what: str, problems: list[str]) -> IntegrityError:
    found = "; ".join(problems) or "no pack holds it"
    return IntegrityError(f"{what} is damaged or lost: {found}")


def _matching(record: Record, plain: memoryview) -> memoryview:
    """The decoded bytes of a record, if they are the part's."""
    if blake3(plain).digest() != record.digest:
        raise IntegrityError(f"a part decoded by {record.codec!r} does not match its digest")
    return plain.toreadonly()


@dataclass(frozen=True, slots=True)
class Kept:
    """How a part is kept: its record, what it is made from, and the coding of its residual."""

    record: Record
    bases: tuple[Base, ...] = ()
    coding: int | None = None


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
        self.scratch = Scratch()
        self._bases = PlainCache(BASE_CACHE_BYTES)
        self._pool: ThreadPoolExecutor | None = None
        self._pool_lock = threading.Lock()

    def read(self, part: Part) -> memoryview:
        """The plain bytes of a part.

        Raises:
            IntegrityError: no pack holds it whole; names the packs and offsets looked at.
            UnavailableError: the disk fails where one may hold it.
        """

        def plain_of(record: Record, stored: memoryview) -> memoryview:
            if record.plain_bytes != part.plain_bytes:
                raise IntegrityError(f"holds {record.plain_bytes} bytes")
            return self._checked(record, stored)

        what = f"part {part.digest.hex()} of {part.plain_bytes} bytes"
        return self._first_that_serves(part.digest, what, plain_of)

    def sound(self, part: Part) -> bool:
        """Whether the part reads back as what it is."""
        try:
            self.read(part)
        except (IntegrityError, UnavailableError):
            return False
        return True

    def _first_that_serves(
        self, digest: bytes, what: str, use: Callable[[Record, memoryview], Made]
    ) -> Made:
        """What `use` makes of the first record of a part that is sound enough for it."""
        problems: list[str] = []
        failing: UnavailableError | None = None
        for place in self._places(digest):
            try:
                with stored_record(self.backend, place, digest, self.scratch) as found:
                    return use(*found)
            except OtherPartError:
                continue
            except (IntegrityError, UnavailableError) as error:
                problems.append(f"pack {place.pack_id} at byte {place.offset}: {error}")
                if isinstance(error, UnavailableError):
                    failing = error
        if failing is not None:
            raise UnavailableError(f"{what} cannot be read now: {'; '.join(problems)}")
        raise _lost(what, problems)

    def _checked(self, record: Record, stored: memoryview) -> memoryview:
        if record.is_plain:  # spares a copy: the digest is what makes it trustworthy
            return _matching(record, stored)
        try:
            fetch = partial(self.read_base_into, below=record.depth)
            return self._decoded(record, stored, fetch)
        except (IntegrityError, UnavailableError):
            if not record.base_count:
                raise
        # Bases are read unchecked, the first that decodes: another copy of one may be whole.
        return self._carefully(record, stored, frozenset())

    def _carefully(
        self, record: Record, stored: memoryview, wanted_by: frozenset[bytes]
    ) -> memoryview:
        """Decode from checked bases only, from whatever record has them."""
        if record.digest in wanted_by or len(wanted_by) > MAX_DEPTH:
            raise IntegrityError("it is made from itself")
        wanted_by |= {record.digest}
        return self._decoded(record, stored, partial(self.sound_base_into, wanted_by=wanted_by))

    def _decoded(self, record: Record, stored: memoryview, fetch: Fetch) -> memoryview:
        plain = np.empty(record.plain_bytes, dtype=np.uint8).data  # not zeroed first
        decode_into(record, stored, plain, self.codecs, fetch, self.scratch)
        return _matching(record, plain)

    def read_base_into(self, base: Base, out: memoryview, below: int = MAX_DEPTH + 1) -> None:
        """Write the wanted bytes of a part in a depth below `below`; no digest is checked.

        For reading, where the digest of what is made from them tells. Whoever writes a
        difference to them needs `sound_base_into`.

        Raises:
            IntegrityError: it is lost, too deep, or has fewer bytes.
            UnavailableError: the disk fails where it may be.
        """

        def write(record: Record, stored: memoryview) -> None:
            if record.depth >= below:  # bases of bases end somewhere
                raise IntegrityError(f"is derived in depth {record.depth}")
            self._base_into(record, stored, base, out)

        self._first_that_serves(base.digest, f"base {base.digest.hex()}", write)

    def _base_into(self, record: Record, stored: memoryview, base: Base, out: memoryview) -> None:
        if base.stop > record.plain_bytes:
            raise IntegrityError(f"has only {record.plain_bytes} bytes")
        plain = self._bases.get(base.digest)
        if plain is None:
            fetch = partial(self.read_base_into, below=record.depth)
            if base.size_bytes == record.plain_bytes:
                decode_into(record, stored, out, self.codecs, fetch, self.scratch)
                return
            plain = self._decoded(record, stored, fetch)  # what others will get is checked
            self._bases.put(base.digest, plain)
        out[:] = plain[base.start : base.stop]

    def sound_base_into(
        self, base: Base, out: memoryview, wanted_by: frozenset[bytes] = frozenset()
    ) -> None:
        """Write the wanted bytes of a part whose digest was checked, bases included.

        `wanted_by` are the parts being made from it, which cannot serve for it.

        Raises:
            IntegrityError: no record of it is sound, or it has fewer bytes.
            UnavailableError: the disk fails where it may be.
        """
        plain = self._bases.get(base.digest)
        if plain is None:
            plain = self._first_that_serves(
                base.digest,
                f"base {base.digest.hex()}",
                lambda record, stored: self._carefully(record, stored, wanted_by),
            )
            self._bases.put(base.digest, plain)
        if base.stop > len(plain):
            raise IntegrityError(f"base {base.digest.hex()} has only {len(plain)} bytes")
        out[:] = plain[base.start : base.stop]

    def _places(self, digest: bytes) -> Iterator[Place]:
        """Known places, then, when those did not serve, what a fresh look at the packs gives."""
        tried = self.index.find(digest)
        yield from tried
        self.index.refresh()
        yield from [place for place in self.index.find(digest) if place not in tried]

    def lasting(self, part: Part) -> bool:
        """Whether a new recipe may name this part; looks at what the index knows already."""
        return self.lasting_depth(part.digest, part.plain_bytes) is not None

    def lasting_depth(
        self, digest: bytes, plain_bytes: int | None = None, below: int = MAX_DEPTH + 1
    ) -> int | None:
        """The depth of a part that stays, bases included; None if it is not here or may go.

        None as well if the record that counts is not in a depth below `below`.
        """
        kept = self.kept(digest)
        if kept is None or kept.record.depth >= below:
            return None
        if plain_bytes is not None and kept.record.plain_bytes != plain_bytes:
            return None
        depth = kept.record.depth
        names = {base.digest for base in kept.bases}
        lasts = all(self.lasting_depth(name, below=depth) is not None for name in names)
        return depth if lasts else None

    def kept(self, digest: bytes) -> "Kept | None":
        """How the record of a part that counts has it; None if no pack that stays has a sound one.

        Looks at what the index knows already.
        """
        for place in self.index.find_lasting(digest):
            try:
                found = self._kept_at(place)
            except (IntegrityError, ObjectNotFoundError, UnavailableError):
                continue
            if found.record.digest == digest:
                return found
        return None

    def counting_depth(self, digest: bytes) -> int | None:
        """The depth of the record of a part that counts, in whatever pack; None: it has none.

        Raises:
            IntegrityError, UnavailableError: that record cannot be read.
        """
        for place in self.index.find(digest):
            try:
                record = self._kept_at(place).record
            except ObjectNotFoundError:
                continue
            if record.digest == digest:
                return record.depth
        return None

    def make_durable(self, recipe: Recipe) -> None:
        """Make sure that the packs of these parts survive a power cut, whoever wrote them."""
        packs = {place.pack_id for part in recipe.parts() for place in self.index.find(part.digest)}
        for pack_id in packs:
            # Lies in the pack's folder. The pack's own time says which of two packs is the newer.
            self.backend.touch(pack_index_key(pack_id))

    def origin(self, base: Base) -> Base:
        """The bytes at the bottom of a chain of bases that are each one run of bytes.

        That is the base itself when it has none, or several, or is not to be found.
        """
        for _ in range(MAX_DEPTH):  # no chain is longer; none that goes in circles is followed
            kept = self.kept(base.digest)
            if kept is None or len(kept.bases) != 1:
                return base
            (below,) = kept.bases
            if below.size_bytes != kept.record.plain_bytes:
                return base
            start = below.start + base.start
            base = Base(below.digest, start, start + base.size_bytes)
        return base

    def _kept_at(self, place: Place) -> "Kept":
        with self.backend.open(pack_key(place.pack_id)) as pack:
            head = pack.read_at(place.offset, RECORD_HEAD_BYTES)
            record = parse_record_head(head, place.offset)
            if not record.base_count:
                return Kept(record)
            at = place.offset + RECORD_HEAD_BYTES
            start = pack.read_at(at, record.base_count * BASE_BYTES + DERIVED_HEAD_BYTES)
        bases = parse_bases(start, record.base_count)
        return Kept(record, bases, coding_of(start[record.base_count * BASE_BYTES :]))

    def pool(self) -> ThreadPoolExecutor:
        """The workers that decode ahead, shared by all streams of this store."""
        with self._pool_lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(DECODE_WORKERS, "cairn-decode")
            return self._pool

    def packing(self) -> "Packing":
        """Begin to add parts; the caller holds the maintenance lock."""
        bring_up_to_date(self.backend)
        return Packing(self)


class Packing:
    """Adds encoded parts to new packs, sealing each when it is big enough.

    A context manager: leaving it without `seal` drops the pack that is still open. Packs
    sealed before are sound and unused; gc takes them.
    """

    def __init__(self, parts: PartStore) -> None:
        self._parts = parts
        self._open: PackDraft[Draft] | None = None
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
        self._parts.index.add(pack.id, index, backend.info(pack_key(pack.id)).modified_s)
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
