"""Reads blobs: ranges and streams over plain bytes, however the blob is kept."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from cairn.domain import Blob
from cairn.errors import IntegrityError, RequestError, UnavailableError
from cairn.store.backends import OpenObject
from cairn.store.parts import PartStore
from cairn.store.plain_cache import PlainCache
from cairn.store.recipes import Recipe, Slice

Content = tuple[tuple[bytes, int, int], ...]
"""What names bytes: digest, start and stop of each run."""

BLOCK_BYTES = 1 << 20
PIECE_BYTES = 1 << 20  # a copy of fewer costs less than handing them over by themselves
CACHE_BYTES = 24 << 20  # six of the largest parts: glue and neighbours stay while reading on
AHEAD_PARTS = 3  # decoded before they are asked for: both workers busy, 12 MiB at most
AHEAD_SLICES = 64  # looked at to find those parts: glue may come in many small slices


class BlobReader(ABC):
    """A blob opened for reading: a `Source`, and a context manager. Thread-safe.

    Stays readable while optimize and gc run. Damage raises IntegrityError; an answer is
    never short of what the blob's size promises.
    """

    def __init__(self, blob: Blob) -> None:
        self.blob = blob

    @property
    def name(self) -> str:
        """The digest, for messages."""
        return str(self.blob.digest)

    @property
    def size_bytes(self) -> int:
        """Plain bytes."""
        return self.blob.size_bytes

    @abstractmethod
    def read_at(self, offset: int, length: int) -> bytes:
        """Bytes `offset .. offset + length`, cut short only by the end of the blob."""

    def stream(
        self, start: int = 0, stop: int | None = None, block_bytes: int = BLOCK_BYTES
    ) -> Iterator[bytes]:
        """Bytes `start .. stop` (None: the end) in blocks of `block_bytes`, the last shorter.

        Memory is bounded by the block plus the decoded parts held (36 MiB), whatever the size.
        """
        if block_bytes <= 0:
            raise RequestError(f"a block cannot have {block_bytes} bytes")
        begin, end = self._clipped(start, self.size_bytes if stop is None else stop)
        yield from self._blocks(begin, end, block_bytes)

    def pieces(
        self, start: int = 0, stop: int | None = None, block_bytes: int = BLOCK_BYTES
    ) -> Iterator[memoryview]:
        """As `stream`, but in pieces as they come to lie in memory, which spares a copy.

        Most have between `PIECE_BYTES` and the larger of `block_bytes` and a part (4 MiB).
        """
        if block_bytes <= 0:
            raise RequestError(f"a block cannot have {block_bytes} bytes")
        begin, end = self._clipped(start, self.size_bytes if stop is None else stop)
        yield from self._pieces(begin, end, block_bytes)

    def _clipped(self, start: int, stop: int) -> tuple[int, int]:
        if start < 0 or stop < start:
            raise RequestError(f"bytes {start}..{stop} are not a range")
        return min(start, self.size_bytes), min(stop, self.size_bytes)

    @abstractmethod
    def _blocks(self, start: int, stop: int, block_bytes: int) -> Iterator[bytes]:
        """The bytes of a valid range in blocks of that size, the last shorter."""

    def _pieces(self, start: int, stop: int, block_bytes: int) -> Iterator[memoryview]:
        """The bytes of a valid range, with as few copies as can be."""
        for block in self._blocks(start, stop, block_bytes):
            yield memoryview(block)

    @abstractmethod
    def content_of(self, start: int, stop: int) -> Content:
        """A name for the bytes `start .. stop`, made without reading them.

        Equal names, of whatever blobs, mean equal bytes; different ones say nothing.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go; may be called twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class RawReader(BlobReader):
    """Reads a blob kept as it was uploaded.

    Its bytes are what the disk gives: `verify` and `optimize` compare the whole blob's
    SHA-256, a range read cannot.
    """

    def __init__(self, blob: Blob, stored: OpenObject) -> None:
        super().__init__(blob)
        self._stored = stored

    def read_at(self, offset: int, length: int) -> bytes:
        """Bytes `offset .. offset + length`, cut short only by the end of the blob."""
        start, stop = self._clipped(offset, offset + length)
        data = self._stored.read_at(start, stop - start)
        if len(data) != stop - start:
            raise IntegrityError(f"blob {self.blob.digest} ends early at byte {start}")
        return data

    def _blocks(self, start: int, stop: int, block_bytes: int) -> Iterator[bytes]:
        for at in range(start, stop, block_bytes):
            yield self.read_at(at, min(block_bytes, stop - at))

    def content_of(self, start: int, stop: int) -> Content:
        """See `BlobReader.content_of`: a run of the blob."""
        return ((self.blob.digest.raw, *self._clipped(start, stop)),)

    def close(self) -> None:
        """Let go of the object."""
        self._stored.close()


class RecipeReader(BlobReader):
    """Reads a blob made of parts; decodes only the parts a range touches."""

    def __init__(self, recipe: Recipe, parts: PartStore) -> None:
        super().__init__(recipe.blob)
        self._recipe = recipe
        self._parts = parts
        self._cache = PlainCache(CACHE_BYTES)

    def read_at(self, offset: int, length: int) -> bytes:
        """Bytes `offset .. offset + length`, cut short only by the end of the blob."""
        start, stop = self._clipped(offset, offset + length)
        return b"".join(self._views(start, stop))

    def _blocks(self, start: int, stop: int, block_bytes: int) -> Iterator[bytes]:
        held: list[memoryview] = []
        missing = block_bytes
        for view in self._views(start, stop):
            rest = view
            while len(rest) >= missing:
                held.append(rest[:missing])
                rest = rest[missing:]
                yield b"".join(held)
                held, missing = [], block_bytes
            if rest:
                held.append(rest)
                missing -= len(rest)
        if held:
            yield b"".join(held)

    def _pieces(self, start: int, stop: int, block_bytes: int) -> Iterator[memoryview]:
        del block_bytes  # parts come as large as they are
        held = bytearray()
        for view in self._views(start, stop):
            if len(view) < PIECE_BYTES:
                held += view
                if len(held) < PIECE_BYTES:
                    continue
            if held:
                yield memoryview(held)
                held = bytearray()
            if len(view) >= PIECE_BYTES:
                yield view
        if held:
            yield memoryview(held)

    def _views(self, start: int, stop: int) -> Iterator[memoryview]:
        """Slices in order, with the parts of the next few being decoded meanwhile."""
        ahead: deque[tuple[Slice, Future[memoryview] | None]] = deque()
        coming = self._recipe.slices(start, stop)
        flying: set[int] = set()
        done = False
        while True:
            while not done and len(flying) < AHEAD_PARTS and len(ahead) < AHEAD_SLICES:
                wanted = next(coming, None)
                if wanted is None:
                    done = True
                    break
                ahead.append((wanted, self._launch(wanted, flying, alone=not ahead)))
            if not ahead:
                return
            wanted, future = ahead.popleft()
            if future is None:
                plain = self._plain(wanted)
            else:
                plain = future.result()
                flying.discard(wanted.part)
            yield plain[wanted.start : wanted.stop]

    def _launch(
        self, wanted: Slice, flying: set[int], *, alone: bool
    ) -> "Future[memoryview] | None":
        """Have a part decoded in the background unless it is at hand, coming, or needed now."""
        if wanted.part in self._cache or alone or wanted.part in flying:
            return None
        flying.add(wanted.part)
        return self._parts.pool().submit(self._plain, wanted)

    def _plain(self, wanted: Slice) -> memoryview:
        """The plain bytes of the part that a slice is of, from the cache or decoded."""
        plain = self._cache.get(wanted.part)
        if plain is not None:
            return plain
        part = self._recipe.part(wanted.part)
        try:
            plain = self._parts.read(part)
        except IntegrityError as error:
            raise IntegrityError(
                f"blob {self.blob.digest}: {error}. Run `cairn store repair`, with --from a"
                " backup if there is one, or upload the file again"
            ) from error
        except UnavailableError as error:
            raise UnavailableError(f"blob {self.blob.digest}: {error}") from error
        # Nothing asks again for a part that was wanted whole: its memory is soon used anew, while
        # the processor still has it at hand.
        if wanted.size_bytes < part.plain_bytes or self._recipe.uses(wanted.part) > 1:
            self._cache.put(wanted.part, plain)
        return plain

    def content_of(self, start: int, stop: int) -> Content:
        """See `BlobReader.content_of`: the parts, which other blobs may share."""
        slices = self._recipe.slices(*self._clipped(start, stop))
        return tuple((self._recipe.part(s.part).digest, s.start, s.stop) for s in slices)

    def close(self) -> None:
        """Forget decoded parts; reading again decodes them anew."""
        self._cache.clear()
