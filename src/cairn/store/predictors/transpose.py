"""The elements of an array in another order of its axes: a weight of Keras or Flax in PyTorch.

| offset | bytes | field |
|---|---|---|
| 0 | 1 | u8 bytes of an element: 1, 2, 4, 8 or 16 |
| 1 | 1 | u8 axes A, 2 to 6 |
| 2 | 2 | zero |
| 4 | 8 | u64 element of the result at which the part begins |
| 12 | 4 x A | u32 per axis of the base's array: its length |
| | A | u8 per axis of the result: which axis of the base it is |

The bases, one after the other, are the array in row-major order. The result is the same array with
its axes in the new order, in row-major order too; the part is a run of it.
"""

import struct
from dataclasses import dataclass
from math import prod
from typing import Any, Self

import numpy as np

from cairn.domain import DType
from cairn.errors import IntegrityError
from cairn.store.bases import BaseBytes
from cairn.store.predictor import Predictor
from cairn.store.scratch import Scratch

MIN_AXES, MAX_AXES = 2, 6
WIDTHS = (1, 2, 4, 8, 16)
_HEAD = struct.Struct("<BBHQ")

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class TransposeParams:
    """See the byte table."""

    width: int
    first: int
    lengths: tuple[int, ...]
    axes: tuple[int, ...]

    def encode(self) -> bytes:
        """The stored bytes."""
        count = len(self.lengths)
        head = _HEAD.pack(self.width, count, 0, self.first)
        return head + struct.pack(f"<{count}I", *self.lengths) + bytes(self.axes)

    @classmethod
    def parse(cls, data: memoryview) -> Self:
        """The inverse of `encode`.

        Raises:
            IntegrityError: damaged.
        """
        if len(data) < _HEAD.size:
            raise IntegrityError("the parameters of a transposition are cut short")
        width, count, zero, first = _HEAD.unpack_from(data)
        if width not in WIDTHS or not MIN_AXES <= count <= MAX_AXES or zero:
            raise IntegrityError("the parameters of a transposition make no sense")
        if len(data) != _HEAD.size + 5 * count:
            raise IntegrityError(f"{len(data)} bytes do not name {count} axes")
        lengths = struct.unpack_from(f"<{count}I", data, _HEAD.size)
        axes = tuple(data[-count:])
        if sorted(axes) != list(range(count)):
            raise IntegrityError(f"{axes} is no order of {count} axes")
        return cls(width, first, lengths, axes)

    @property
    def base_bytes(self) -> int:
        """Bytes of the base's array."""
        return self.width * prod(self.lengths)


class TransposePredictor(Predictor):
    """An element is one of the base, at the place that another order of the axes gives it."""

    name = "transpose"

    def predict_into(
        self,
        params: memoryview,
        bases: BaseBytes,
        out: memoryview,
        dtype: DType | None,  # noqa: ARG002 - elements have the width that the parameters say
        scratch: Scratch,  # noqa: ARG002 - larger than what it is for
    ) -> None:
        """The base's elements in the new order."""
        shape = TransposeParams.parse(params)
        count, rest = divmod(len(out), shape.width)
        if rest or shape.width * (shape.first + count) > shape.base_bytes:
            raise IntegrityError(f"a transposed array does not have {len(out)} bytes there")
        if bases.size_bytes() != shape.base_bytes:  # before that much memory is taken
            raise IntegrityError(f"a transposition needs {shape.base_bytes} bytes of its bases")
        if not count:
            return
        plain = np.empty(shape.base_bytes, np.uint8)
        bases.read_into(plain.data)
        unit = f"V{shape.width}" if shape.width == WIDTHS[-1] else f"<u{shape.width}"
        result = plain.view(unit).reshape(shape.lengths).transpose(shape.axes)
        _take(result, shape.first, np.frombuffer(out, unit))


def _take(array: Array, first: int, out: Array) -> None:
    """Write the elements of an array in row-major order, from `first` on, until `out` is full."""
    slab = array.size // len(array)
    at = first // slab
    stop = -(-(first + len(out)) // slab)
    if array.ndim > 1 and stop - at == 1 and len(out) < slab:
        _take(array[at], first - at * slab, out)  # no need to put a whole slab in order
        return
    begin = first - at * slab
    out[:] = array[at:stop].reshape(-1)[begin : begin + len(out)]
