"""What a matrix adds to its base, read in blocks of rows as often as it is needed."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from cairn.domain import DType, Source, Span
from cairn.errors import IntegrityError
from cairn.store.base_parts import BaseParts
from cairn.store.base_tensor import BaseTensor
from cairn.store.bases import BaseBytes
from cairn.store.single_floats import CODES, bits, widen

# Work on a block in float64 takes some ten times 2 MiB.
BLOCK_ELEMENTS = 1 << 18
# Smaller matrices are read once and kept, as float32: two of 16 MiB.
KEPT_ELEMENTS = 1 << 22

Array = np.ndarray[Any, Any]
# The first row, values and base's values (rows, columns) in float32.
Block = tuple[int, Array, Array]


@dataclass(frozen=True, slots=True)
class Matrix:
    """A storage of a file, in rows."""

    source: Source
    span: Span
    dtype: DType
    columns: int

    @property
    def row_bytes(self) -> int:
        """Bytes of a row as it is stored."""
        return self.columns * self.dtype.block_bytes

    @property
    def rows(self) -> int:
        """How many there are."""
        return self.span.size_bytes // self.row_bytes

    @property
    def elements(self) -> int:
        """Rows times columns."""
        return self.rows * self.columns

    def plain(self, first: int, rows: int) -> memoryview:
        """The bytes of some rows."""
        start = self.span.start + first * self.row_bytes
        return memoryview(self.source.read_at(start, rows * self.row_bytes))


class MatrixDifference:
    """A matrix beside the tensor it is near to."""

    def __init__(self, matrix: Matrix, base: BaseTensor, parts: BaseParts) -> None:
        self.dtype = matrix.dtype
        self.columns = matrix.columns
        self.rows = matrix.rows
        self.elements = matrix.elements
        self._matrix = matrix
        self._base = base
        self._parts = parts
        self._kept: list[Block] | None = None

    @staticmethod
    def supports(dtype: DType, base: DType) -> bool:
        """Whether values of these types can be subtracted here."""
        return dtype in CODES and base in CODES

    def blocks(self) -> Iterator[Block]:
        """All rows in order.

        Raises:
            IntegrityError: the base is not to be had.
        """
        if self._kept is not None:
            yield from self._kept
            return
        step = max(1, BLOCK_ELEMENTS // self.columns)
        kept: list[Block] | None = [] if self.elements <= KEPT_ELEMENTS else None
        for first in range(0, self.rows, step):
            block = self._read(first, min(step, self.rows - first))
            if kept is not None:
                kept.append(block)
            yield block
        self._kept = kept

    def block(self, first: int, rows: int) -> Block:
        """Some rows; those of a small matrix are read together, once.

        Raises:
            IntegrityError: the base is not to be had.
        """
        if self.elements > BLOCK_ELEMENTS:
            return self._read(first, rows)
        ((_, ours, theirs),) = self.blocks()
        return first, ours[first : first + rows], theirs[first : first + rows]

    def _read(self, first: int, rows: int) -> Block:
        start, stop = first * self.columns, (first + rows) * self.columns
        base_width = self._base.dtype.block_bytes
        plain = self._matrix.plain(first, rows)
        bases = self._base.bases(start * base_width, stop * base_width)
        if bases is None:
            raise IntegrityError("the base is spread over too many parts")
        with self._parts.scratch.bytes((stop - start) * base_width) as other:
            BaseBytes(bases, self._parts.sound_base_into).read_into(other)
            theirs = _singles(other.toreadonly(), self._base.dtype)
        ours = _singles(plain, self.dtype)
        return first, ours.reshape(rows, -1), theirs.reshape(rows, -1)


def _singles(data: memoryview, dtype: DType) -> Array:
    """The values as float32 (n,), a copy."""
    values = np.empty(len(data) // dtype.block_bytes, "<u4")
    widen(bits(data, dtype), dtype, values)
    return values.view("<f4")
