"""The parts that a new one may be made from: those stored, and those of the blob being written."""

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from threading import local

from blake3 import blake3

from cairn.domain import Source, Span
from cairn.errors import IntegrityError
from cairn.plugins import Registry
from cairn.store.bases import MAX_DEPTH, Base
from cairn.store.codec import Codec
from cairn.store.packs import Encoded
from cairn.store.parts import PartStore
from cairn.store.plain_cache import PlainCache
from cairn.store.scratch import Scratch

# Parts of the blob itself are read from its raw bytes: four of the largest stay at hand.
OWN_CACHE_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class _Made:
    """How a part of the blob is kept; its stored bytes are in a pack, or on their way."""

    depth: int
    bases: tuple[Base, ...]


@dataclass(frozen=True, slots=True)
class _Coming:
    """A part of the blob that is being encoded, and when its turn came."""

    turn: int
    encoded: Future[Encoded | None]


class BaseParts:
    """What bases are taken from while one blob is written; thread-safe."""

    def __init__(self, stored: PartStore) -> None:
        self._stored = stored
        self._spans: dict[bytes, tuple[Source, Span]] = {}
        self._coming: dict[bytes, _Coming] = {}
        self._encoding = local()  # `turn`: that of the part which this thread encodes
        self._made: dict[bytes, _Made] = {}
        self._plains = PlainCache(OWN_CACHE_BYTES)

    @property
    def codecs(self) -> Registry[Codec]:
        """What parts are encoded with."""
        return self._stored.codecs

    @property
    def scratch(self) -> Scratch:
        """Memory to work in."""
        return self._stored.scratch

    def expect(
        self, digest: bytes, source: Source, span: Span, turn: int, encoded: Future[Encoded | None]
    ) -> None:
        """A part of the blob that is being encoded; those whose turn was before may be its bases.

        None will come if it stays as it is stored.
        """
        self._spans[digest] = source, span
        self._coming[digest] = _Coming(turn, encoded)

    @contextmanager
    def in_turn(self, turn: int) -> Iterator[None]:
        """Encode the part whose turn it is in this thread, which waits for none but those before.

        A part may be stored already and be encoded anew. Then it, or one after it, can be found
        as its base, and would be waited for for ever: it counts as it is stored.
        """
        self._encoding.turn = turn
        try:
            yield
        finally:
            del self._encoding.turn

    def take(self, encoded: Encoded) -> None:
        """A part of the blob was encoded, and is written from now on."""
        if encoded.digest in self._coming:
            self._made[encoded.digest] = _Made(encoded.depth, encoded.bases)
            del self._coming[encoded.digest]  # last: others look here first

    def leave(self, digest: bytes) -> None:
        """A part of the blob stays as it is stored."""
        self._coming.pop(digest, None)

    def depth(self, digest: bytes, below: int = MAX_DEPTH + 1) -> int | None:
        """That of a part that stays; None if it is `below` or more, not here, or may go."""
        made = self._own(digest)
        if made is None:
            return self._stored.lasting_depth(digest, below=below)
        return made.depth if made.depth < below else None

    def origin(self, base: Base) -> Base:
        """The bytes at the bottom of a chain of bases that are each one run of bytes.

        That is the base itself when it has none, or several, or is not to be found.
        """
        made = self._own(base.digest)
        if made is None:
            return self._stored.origin(base)
        if (
            len(made.bases) != 1
            or made.bases[0].size_bytes != self._spans[base.digest][1].size_bytes
        ):
            return base
        return self.origin(made.bases[0].run(base.start, base.stop))

    def sound_base_into(self, base: Base, out: memoryview) -> None:
        """Write the wanted bytes of a part whose digest was checked.

        Raises:
            IntegrityError: no record of it is sound, or it has fewer bytes.
            UnavailableError: the disk fails where it may be.
        """
        if base.digest not in self._spans:
            self._stored.sound_base_into(base, out)
            return
        plain = self._plains.get(base.digest)
        if plain is None:
            plain = self._read(base.digest)
            self._plains.put(base.digest, plain)
        out[:] = plain[base.start : base.stop]

    def _own(self, digest: bytes) -> _Made | None:
        """How a part of the blob is kept, once that is known; None where it is as stored."""
        coming = self._coming.get(digest)
        if coming is None:
            return self._made.get(digest)
        own_turn = getattr(self._encoding, "turn", None)
        if own_turn is not None and coming.turn >= own_turn:
            return None
        encoded = coming.encoded.result()
        return None if encoded is None else _Made(encoded.depth, encoded.bases)

    def _read(self, digest: bytes) -> memoryview:
        source, span = self._spans[digest]
        plain = source.read_at(span.start, span.size_bytes)
        if blake3(plain).digest() != digest:
            raise IntegrityError(f"{source.name} gave other bytes at {span.start} than before")
        return memoryview(plain)
