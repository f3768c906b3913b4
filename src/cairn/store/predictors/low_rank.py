"""The values of the base plus a product of two thin matrices: a LoRA merged into a weight.

| offset | bytes | field |
|---|---|---|
| 0 | 1 | u8 type of the base's values: 1 F32, 2 BF16, 3 F16 |
| 1 | 1 | u8 1: the update is rounded to the part's type before it is added; else 0 |
| 2 | 2 | u16 directions R, 1 or more |
| 4 | 4 | u32 columns C of the matrix |
| 8 | 4 | u32 column of the part's first element |
| 12 | 2 x R | i16 per direction: the power of two its products are multiplied by |

The bases, one after the other: the values of the base; of each row of the matrix that the
part has elements of, R numbers (the left factor); R x C numbers (the right factor). A number
of a factor is a u32: 2n for n >= 0, -2n - 1 for n < 0, |n| < 2^26. The update is

    sum over r = 0, 1, ... of left[row, r] * right[r, column] * 2^power[r]

in float64, where each product is exact, rounded to float32. It is added in float32 and rounded to
the part's type. Merging by PEFT (https://github.com/huggingface/peft) rounds the update of a
bfloat16 weight first; a merge in float32 that is cast afterwards does not.

Where the sum is not finite the base's value stands.
"""

import struct
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from cairn.domain import DType
from cairn.errors import IntegrityError
from cairn.store.bases import BaseBytes
from cairn.store.predictor import Predictor
from cairn.store.scratch import Scratch
from cairn.store.single_floats import CODES, TYPES, Array, bits, narrow, widen

# Keeps every product a normal number of float64, however large the numbers are.
MAX_POWER = 300
# Products of two numbers are exact in float64 up to 2^53.
LARGEST_NUMBER = (1 << 26) - 1
NUMBER_BYTES = 4

# Adapters of higher rank are rare; the work per byte read grows with it.
MAX_DIRECTIONS = 256


@dataclass(frozen=True, slots=True)
class LowRankParams:
    """Where a part lies in its matrix, and how the factors make the update."""

    base: DType
    rounds_update: bool
    columns: int
    first_column: int
    powers: tuple[int, ...]

    _HEAD: ClassVar[struct.Struct] = struct.Struct("<BBHII")

    def encode(self) -> bytes:
        """The stored bytes."""
        head = self._HEAD.pack(
            CODES[self.base], self.rounds_update, len(self.powers), self.columns, self.first_column
        )
        return head + struct.pack(f"<{len(self.powers)}h", *self.powers)

    @classmethod
    def parse(cls, data: memoryview) -> Self:
        """The inverse of `encode`.

        Raises:
            IntegrityError: damaged.
        """
        if len(data) < cls._HEAD.size:
            raise IntegrityError("the parameters of a low-rank update are cut short")
        code, rounds, directions, columns, first = cls._HEAD.unpack_from(data)
        if code not in TYPES or rounds > 1 or not 1 <= directions <= MAX_DIRECTIONS:
            raise IntegrityError("the parameters of a low-rank update make no sense")
        if first >= columns or len(data) != cls._HEAD.size + 2 * directions:
            raise IntegrityError("the parameters of a low-rank update do not fit each other")
        powers = struct.unpack_from(f"<{directions}h", data, cls._HEAD.size)
        if any(abs(power) > MAX_POWER for power in powers):
            raise IntegrityError("a low-rank update has powers that no float32 weight needs")
        return cls(TYPES[code], bool(rounds), columns, first, powers)

    def starting_at(self, first_column: int) -> Self:
        """Those of another part of the matrix."""
        return replace(self, first_column=first_column)

    def rows(self, elements: int) -> int:
        """How many rows of the matrix a part of so many elements touches."""
        return -(-(self.first_column + elements) // self.columns)


class LowRankPredictor(Predictor):
    """A value is that of the base plus the update of a low-rank adapter."""

    name = "low-rank"

    def predict_into(
        self,
        params: memoryview,
        bases: BaseBytes,
        out: memoryview,
        dtype: DType | None,
        scratch: Scratch,
    ) -> None:
        """The bases' values, updated."""
        shape = LowRankParams.parse(params)
        if dtype is None or dtype not in CODES:
            raise IntegrityError(f"no low-rank update is of type {dtype}")
        count, rest = divmod(len(out), dtype.block_bytes)
        if rest:
            raise IntegrityError(f"{len(out)} bytes are not whole elements of {dtype.label}")
        base_bytes = count * shape.base.block_bytes
        row_bytes = NUMBER_BYTES * len(shape.powers)
        left_bytes = row_bytes * shape.rows(count)
        total = base_bytes + left_bytes + row_bytes * shape.columns
        if bases.size_bytes() != total:  # before that much memory is taken
            raise IntegrityError(f"a low-rank update needs {total} bytes of its bases")
        with scratch.bytes(total) as plain, scratch.bytes(4 * count) as update:
            bases.read_into(plain)
            singles = bits(update, DType.F32)
            split = base_bytes + left_bytes
            _update(shape, plain[base_bytes:split], plain[split:], singles)
            if shape.rounds_update and dtype is not DType.F32:
                narrow(singles, dtype, bits(out, dtype))
                widen(bits(out.toreadonly(), dtype), dtype, singles)
            _add(bits(plain[:base_bytes].toreadonly(), shape.base), shape.base, singles, scratch)
            narrow(singles, dtype, bits(out, dtype))


def _update(shape: LowRankParams, left: memoryview, right: memoryview, out: Array) -> None:
    """Fill `out` (n,) with the bits of the update in float32."""
    from cairn.store import low_rank_kernels  # numba takes half a second: only when needed

    directions = len(shape.powers)
    scales = np.ldexp(1.0, np.array(shape.powers))  # (directions,)
    lefts = _numbers(left).astype(np.float64).reshape(-1, directions) * scales
    rights = _numbers(right).reshape(directions, shape.columns)
    low_rank_kernels.product(lefts, rights, shape.first_column, out.view("<f4"))


def _add(values: Array, base: DType, update: Array, scratch: Scratch) -> None:
    """Add the base's values to the update, in place."""
    from cairn.store import low_rank_kernels

    sums = update.view("<f4")
    if base is DType.F32:
        low_rank_kernels.add(values.view("<f4"), sums, sums)
        return
    with scratch.bytes(4 * len(values)) as wide:
        widen(values, base, bits(wide, DType.F32))
        low_rank_kernels.add(np.frombuffer(wide.toreadonly(), "<f4"), sums, sums)


def _numbers(data: memoryview) -> Array:
    """The numbers of a factor (n,).

    Raises:
        IntegrityError: one is so large that a product of it might be rounded.
    """
    coded = np.frombuffer(data, dtype="<u4")
    if coded.size and coded.max() > 2 * LARGEST_NUMBER:
        raise IntegrityError("a low-rank update has numbers that are too large")
    signs = -(coded & np.uint32(1)).view("<i4")  # -1 for a negative number
    numbers: Array = (coded >> np.uint32(1)).view("<i4") ^ signs
    return numbers


def encode_numbers(numbers: Array) -> bytes:
    """A factor's stored numbers; integers of at most `LARGEST_NUMBER`."""
    whole = numbers.astype("<i4")
    return ((whole << 1) ^ (whole >> 31)).astype("<i4").tobytes()
