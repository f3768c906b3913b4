"""How a blob is made of parts: object `recipes/ab/<sha256>`, format version 1.

| offset | bytes | field |
|---|---|---|
| 0 | 8 | magic `CAIRNRCP` |
| 8 | 4 | u32 version, 1 |
| 12 | 4 | u32 zero |
| 16 | 32 | SHA-256 of the blob |
| 48 | 8 | u64 blob bytes |
| 56 | 4 | u32 parts P |
| 60 | 4 | u32 segments S |
| 64 | 36 x P | per part: BLAKE3-256 of its plain bytes, u32 plain bytes |
| | 12 x S | per segment: u32 part number, u32 offset in the part, u32 length > 0 |
| | 32 | BLAKE3-256 of everything before |

Integers are little-endian. The segments, one after the other, are the blob.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from blake3 import blake3

from cairn.domain import Blob, Digest
from cairn.errors import IntegrityError
from cairn.store.bases import Base
from cairn.store.cutting import MAX_PART_BYTES

VERSION = 1
_MAGIC = b"CAIRNRCP"
_HEAD = struct.Struct("<8sII32sQII")
HEAD_BYTES = _HEAD.size
_PART = np.dtype([("digest", "V32"), ("plain", "<u4")])
_SEGMENT = np.dtype([("part", "<u4"), ("offset", "<u4"), ("length", "<u4")])
_CHECK_BYTES = 32


@dataclass(frozen=True, slots=True)
class Part:
    """A run of plain bytes kept once under their BLAKE3-256."""

    digest: bytes
    plain_bytes: int


@dataclass(frozen=True, slots=True)
class Slice:
    """Bytes `start .. stop` of the recipe's part `part`."""

    part: int
    start: int
    stop: int

    @property
    def size_bytes(self) -> int:
        """How many bytes of the part it has."""
        return self.stop - self.start


class Recipe:
    """The parts of one blob and their order; valid once it exists."""

    def __init__(
        self, blob: Blob, parts: npt.NDArray[np.void], segments: npt.NDArray[np.void]
    ) -> None:
        """`parts` (P,) and `segments` (S,) as in the byte table.

        Raises:
            IntegrityError: they do not make a blob of that size.
        """
        self.blob = blob
        self._parts = parts
        self._segments = segments
        lengths = segments["length"].astype(np.uint64)
        ends = segments["offset"].astype(np.uint64) + lengths
        if len(segments) and int(segments["part"].max()) >= len(parts):
            raise IntegrityError("a segment names a part that is not in the recipe")
        if (lengths == 0).any() or (ends > parts["plain"][segments["part"]]).any():
            raise IntegrityError("a segment is empty or reaches past its part")
        if len(parts) and int(parts["plain"].max()) > MAX_PART_BYTES:
            raise IntegrityError(f"a part has more than {MAX_PART_BYTES} bytes")
        self._uses = np.bincount(segments["part"], minlength=len(parts))  # (P,)
        self._stops = np.cumsum(lengths)  # (S,) where each segment ends in the blob
        total = int(self._stops[-1]) if len(self._stops) else 0
        if total != blob.size_bytes:
            raise IntegrityError(f"the segments make {total} bytes, not {blob.size_bytes}")

    @classmethod
    def of(cls, blob: Blob, parts: Sequence[Part], segments: Sequence[Slice]) -> "Recipe":
        """A recipe from its parts and the slices of them that follow each other."""
        rows = [(p.digest, p.plain_bytes) for p in parts]
        cuts = [(s.part, s.start, s.stop - s.start) for s in segments]
        return cls(blob, np.array(rows, dtype=_PART), np.array(cuts, dtype=_SEGMENT))

    def part(self, number: int) -> Part:
        """The part with this number."""
        row = self._parts[number]
        return Part(row["digest"].tobytes(), int(row["plain"]))

    def uses(self, number: int) -> int:
        """How many segments are of this part."""
        return int(self._uses[number])

    def parts(self) -> Iterator[Part]:
        """All parts by number."""
        for number in range(len(self._parts)):
            yield self.part(number)

    def slices(self, start: int, stop: int) -> Iterator[Slice]:
        """What makes the bytes `start .. stop` of the blob, in order."""
        stop = min(stop, self.blob.size_bytes)
        number = int(np.searchsorted(self._stops, start, side="right"))
        while start < stop:
            part, offset, length = (int(n) for n in self._segments[number])
            begin = int(self._stops[number]) - length
            end = min(stop - begin, length)
            yield Slice(part, offset + start - begin, offset + end)
            start = begin + end
            number += 1

    def bases(self, start: int, stop: int) -> Iterator[Base]:
        """The same, as bases of other parts."""
        for piece in self.slices(start, stop):
            yield Base(self.part(piece.part).digest, piece.start, piece.stop)

    def encode(self) -> bytes:
        """The object's bytes."""
        head = _HEAD.pack(
            _MAGIC, VERSION, 0, self.blob.digest.raw, self.blob.size_bytes,
            len(self._parts), len(self._segments),
        )  # fmt: skip
        body = head + self._parts.tobytes() + self._segments.tobytes()
        return body + blake3(body).digest()


def parse_recipe(data: bytes, digest: Digest) -> Recipe:
    """The recipe of the blob `digest` from its object's bytes.

    Raises:
        IntegrityError: damaged, or of another blob, or of a newer version.
    """
    blob, parts, segments = _parse_head(data, digest)
    body = len(data) - _CHECK_BYTES
    if body != HEAD_BYTES + parts * _PART.itemsize + segments * _SEGMENT.itemsize:
        raise IntegrityError(f"recipe of {digest} has {len(data)} bytes: it was cut or extended")
    if blake3(memoryview(data)[:body]).digest() != data[body:]:
        raise IntegrityError(f"recipe of {digest} does not match its checksum")
    split = HEAD_BYTES + parts * _PART.itemsize
    try:
        return Recipe(
            blob,
            np.frombuffer(data, _PART, parts, HEAD_BYTES),
            np.frombuffer(data, _SEGMENT, segments, split),
        )
    except IntegrityError as error:
        raise IntegrityError(f"recipe of {digest}: {error}") from None


def blob_of_head(head: bytes, digest: Digest) -> Blob:
    """The blob a recipe is for, from the first `HEAD_BYTES` alone.

    Raises:
        IntegrityError: they are not the head of a recipe of `digest`.
    """
    return _parse_head(head, digest)[0]


def _parse_head(data: bytes, digest: Digest) -> tuple[Blob, int, int]:
    if len(data) < HEAD_BYTES:
        raise IntegrityError(f"recipe of {digest} is cut short at {len(data)} bytes")
    magic, version, zero, raw, size, parts, segments = _HEAD.unpack_from(data)
    if magic != _MAGIC:
        raise IntegrityError(f"recipe of {digest} does not start as one")
    if version > VERSION:
        raise IntegrityError(f"recipe of {digest} has version {version}: update Cairn to read it")
    if zero or version != VERSION or raw != digest.raw:
        raise IntegrityError(f"recipe of {digest} has a damaged head or is of another blob")
    return Blob(digest, size), parts, segments
