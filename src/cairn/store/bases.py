"""Which plain bytes a derived part is made from: the table that opens its stored bytes.

| offset | bytes | field |
|---|---|---|
| 0 | 40 x B | per base: BLAKE3-256 of a part, u32 first byte wanted, u32 byte after the last |

The wanted bytes, one after the other, are what the part's predictor gets. Integers are
little-endian; B is in the record's head.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cairn.errors import IntegrityError
from cairn.store.cutting import MAX_PART_BYTES

BASE_BYTES = 40
_BASE = struct.Struct("<32sII")

# A part of 4 MiB in ggml's smallest blocks is quantised from some 90 MB of float32; matrices
# that are turned or approximated whole are held to the same. It is the memory one read takes.
MAX_BASES = 32

# Every level is one more part to decode for each byte read. Policies stay well below; this is
# what readers accept, so that no damage or trick makes them recurse without end.
MAX_DEPTH = 32


@dataclass(frozen=True, slots=True)
class Base:
    """Bytes `start .. stop` of the part with this BLAKE3-256."""

    digest: bytes
    start: int
    stop: int

    @property
    def size_bytes(self) -> int:
        """How many bytes of the part are wanted."""
        return self.stop - self.start

    def run(self, start: int, stop: int) -> "Base":
        """Bytes `start .. stop` of these."""
        return Base(self.digest, self.start + start, self.start + stop)


def encode_bases(bases: Sequence[Base]) -> bytes:
    """The table's bytes."""
    return b"".join(_BASE.pack(base.digest, base.start, base.stop) for base in bases)


def parse_bases(table: bytes | memoryview, count: int) -> tuple[Base, ...]:
    """The first `count` bases of a table.

    Raises:
        IntegrityError: it is cut short, or names bytes that no part has.
    """
    if count > MAX_BASES or len(table) < count * BASE_BYTES:
        raise IntegrityError(f"the table of {count} bases has {len(table)} bytes")
    bases = tuple(Base(*_BASE.unpack_from(table, n * BASE_BYTES)) for n in range(count))
    if any(not base.start <= base.stop <= MAX_PART_BYTES for base in bases):
        raise IntegrityError("a base names bytes that no part has")
    return bases


class BaseBytes:
    """The wanted bytes of some bases, read where they are needed."""

    def __init__(
        self, bases: Sequence[Base], read_into: Callable[[Base, memoryview], None]
    ) -> None:
        self._bases = bases
        self._read_into = read_into

    def __len__(self) -> int:
        return len(self._bases)

    def size_bytes(self, first: int = 0, stop: int | None = None) -> int:
        """Bytes of the bases `first .. stop` together."""
        return sum(base.size_bytes for base in self._bases[first:stop])

    def read_into(self, out: memoryview, first: int = 0, stop: int | None = None) -> None:
        """Write the bytes of the bases `first .. stop` one after the other; they fill `out`.

        Raises:
            IntegrityError: a base is damaged, or the bases have another number of bytes.
        """
        if self.size_bytes(first, stop) != len(out):
            raise IntegrityError(f"bases do not have {len(out)} bytes")
        at = 0
        for base in self._bases[first:stop]:
            self._read_into(base, out[at : at + base.size_bytes])
            at += base.size_bytes
