"""Columns of stored matrices beside each other: shards of a weight by columns, fused or split ones.

| offset | bytes | field |
|---|---|---|
| 0 | 4 | u32 bytes of a row of the part's matrix, N |
| 4 | 4 | u32 byte of its row at which the part begins, below N |
| 8 | 24 x S | stripes |

A stripe is a run of bytes in each of some rows of a base's matrix:

| offset | bytes | field |
|---|---|---|
| 0 | 8 | u32 first row, counted from that in which the part begins; u32 rows |
| 8 | 8 | u32 first byte in each row of the part's matrix, u32 bytes from there |
| 16 | 8 | u32 bytes of a row of the base's matrix, u32 first byte taken from each |

The bases are, stripe by stripe, as many whole rows of the base's matrix. A later stripe is written
over an earlier one; bytes that are in none are zero, and those outside the part are dropped.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from cairn.domain import DType
from cairn.errors import IntegrityError
from cairn.store.bases import BaseBytes
from cairn.store.predictor import Predictor
from cairn.store.scratch import Scratch

MAX_STRIPES = 64
_HEAD = struct.Struct("<II")
_STRIPE = struct.Struct("<IIIIII")

Array = np.ndarray[Any, Any]


class Stripe(NamedTuple):
    """See the byte table."""

    row: int
    rows: int
    column: int
    width: int
    base_row_bytes: int
    base_column: int

    @property
    def base_bytes(self) -> int:
        """How much of the base is read."""
        return self.rows * self.base_row_bytes


class _Shape(NamedTuple):
    """Bytes of a row, and where in one the part begins."""

    row_bytes: int
    first: int


def columns_params(row_bytes: int, first: int, stripes: Sequence[Stripe]) -> bytes:
    """The stored parameters."""
    return _HEAD.pack(row_bytes, first) + b"".join(_STRIPE.pack(*stripe) for stripe in stripes)


class ColumnsPredictor(Predictor):
    """A row is put together from pieces of rows of others."""

    name = "columns"

    def predict_into(
        self,
        params: memoryview,
        bases: BaseBytes,
        out: memoryview,
        dtype: DType | None,  # noqa: ARG002 - bytes are bytes
        scratch: Scratch,  # noqa: ARG002 - larger than what it is for
    ) -> None:
        """The stripes, side by side."""
        shape, stripes = _parse(params, len(out))
        if bases.size_bytes() != sum(stripe.base_bytes for stripe in stripes):
            raise IntegrityError("the bases of columns are not those of its stripes")
        flat = np.frombuffer(out, np.uint8)
        flat[:] = 0
        for stripe, (first, stop) in zip(stripes, _runs(bases, stripes), strict=True):
            plain = np.empty(stripe.base_bytes, np.uint8)
            bases.read_into(plain.data, first, stop)
            rows = plain.reshape(stripe.rows, stripe.base_row_bytes)
            wanted = rows[:, stripe.base_column : stripe.base_column + stripe.width]
            _write(wanted, stripe, shape, flat)


def _parse(params: memoryview, part_bytes: int) -> tuple[_Shape, list[Stripe]]:
    """The inverse of `columns_params`; IntegrityError if that cannot be."""
    count, rest = divmod(len(params) - _HEAD.size, _STRIPE.size)
    if rest or not 1 <= count <= MAX_STRIPES:
        raise IntegrityError(f"{len(params)} bytes are not the parameters of columns")
    shape = _Shape(*_HEAD.unpack_from(params))
    if shape.first >= shape.row_bytes:
        raise IntegrityError("a part begins after the end of its row")
    rows = -(-(shape.first + part_bytes) // shape.row_bytes)
    stripes = [Stripe(*fields) for fields in _STRIPE.iter_unpack(params[_HEAD.size :])]
    for stripe in stripes:
        fits = stripe.column + stripe.width <= shape.row_bytes and stripe.row + stripe.rows <= rows
        if not fits or stripe.base_column + stripe.width > stripe.base_row_bytes:
            raise IntegrityError("a stripe reaches out of its matrix")
    return shape, stripes


def _runs(bases: BaseBytes, stripes: Sequence[Stripe]) -> Iterator[tuple[int, int]]:
    """Which bases hold each stripe."""
    first = 0
    for stripe in stripes:
        stop = first
        while bases.size_bytes(first, stop) < stripe.base_bytes:
            stop += 1
        if bases.size_bytes(first, stop) != stripe.base_bytes:
            raise IntegrityError("a base of columns holds bytes of two stripes")
        yield first, stop
        first = stop


def _write(wanted: Array, stripe: Stripe, shape: _Shape, out: Array) -> None:
    """Write the pieces of rows (rows, width) to where they belong in the part (bytes,)."""
    row_bytes, first = shape
    whole = (first + len(out)) // row_bytes
    begin = max(1 if first else 0, stripe.row)
    end = max(begin, min(whole, stripe.row + stripe.rows))
    inner = out[begin * row_bytes - first : end * row_bytes - first].reshape(-1, row_bytes)
    inner[:, stripe.column : stripe.column + stripe.width] = wanted[
        begin - stripe.row : end - stripe.row
    ]
    for row in (0, whole):  # those that the part has only a piece of
        at = row - stripe.row
        if 0 <= at < len(wanted) and not begin <= row < end:
            start = row * row_bytes + stripe.column - first
            low, high = max(start, 0), min(start + stripe.width, len(out))
            if low < high:
                out[low:high] = wanted[at, low - start : high - start]
