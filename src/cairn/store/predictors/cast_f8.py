"""The same values in a float type of one byte: an F8 copy of a float32, bfloat16 or float16 tensor.

| offset | bytes | field |
|---|---|---|
| 0 | 1 | u8 type of the bases: 1 F32, 2 BF16, 3 F16 |

The part is F8_E4M3 (bias 7, no infinity, 0x7F is NaN) or F8_E5M2 (bias 15), as in the OCP 8-bit
floating point specification (https://arxiv.org/abs/2209.05433). Rounding is to nearest, ties to
even, as PyTorch 2.13 does: beyond its largest number E4M3 stays there (earlier versions had NaN),
E5M2 has infinity. Every NaN becomes 0x7F with its sign. Scaled copies are not made by this.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from cairn.domain import DType
from cairn.errors import IntegrityError
from cairn.store.bases import BaseBytes
from cairn.store.predictor import Predictor
from cairn.store.scratch import Scratch
from cairn.store.single_floats import CODES, TYPES, bits, widen

_BLOCK_ELEMENTS = 1 << 18  # a mebibyte of float32
_NAN = 0x7F

Array = np.ndarray[Any, Any]


class _Layout(NamedTuple):
    """Bits of the fraction, the exponent's bias, and what stands for infinity."""

    fraction: int
    bias: int
    infinity: int


_LAYOUTS = {DType.F8_E4M3: _Layout(3, 7, 0x7E), DType.F8_E5M2: _Layout(2, 15, 0x7C)}


def cast_f8_params(base: DType, target: DType) -> bytes | None:
    """The parameters for bases of this type, or None if they are not cast to `target` here."""
    return bytes([CODES[base]]) if base in CODES and target in _LAYOUTS else None


class CastF8Predictor(Predictor):
    """A value is that of the base, rounded to one byte."""

    name = "cast-f8"

    def predict_into(
        self,
        params: memoryview,
        bases: BaseBytes,
        out: memoryview,
        dtype: DType | None,
        scratch: Scratch,
    ) -> None:
        """The bases' values, rounded."""
        source = TYPES.get(params[0]) if len(params) == 1 else None
        if source is None or dtype is None or dtype not in _LAYOUTS:
            raise IntegrityError(f"nothing casts {bytes(params).hex()} to {dtype}")
        if bases.size_bytes() != len(out) * source.block_bytes:
            raise IntegrityError(f"bases do not have {len(out)} values of {source.label}")
        rounded, done = np.frombuffer(out, np.uint8), 0
        for number in range(len(bases)):
            size_bytes = bases.size_bytes(number, number + 1)
            count, rest = divmod(size_bytes, source.block_bytes)
            if rest:
                raise IntegrityError(f"a base ends inside a value of {source.label}")
            with scratch.bytes(size_bytes) as plain:
                bases.read_into(plain, number, number + 1)
                values = bits(plain.toreadonly(), source)
                _round(values, source, dtype, rounded[done : done + count], scratch)
            done += count


def _round(values: Array, source: DType, target: DType, out: Array, scratch: Scratch) -> None:
    """Bits (n,) of one type to bytes (n,) of the other, a cacheful at a time."""
    from cairn.store import byte_float_kernels  # numba takes half a second: only when needed

    table = _table(target)
    with scratch.bytes(4 * min(len(values), _BLOCK_ELEMENTS)) as room:
        for at in range(0, len(values), _BLOCK_ELEMENTS):
            part = values[at : at + _BLOCK_ELEMENTS]
            singles = bits(room[: 4 * len(part)], DType.F32)
            widen(part, source, singles)
            byte_float_kernels.round_by_table(singles, table, out[at : at + len(part)])


@lru_cache(maxsize=len(_LAYOUTS))
def _table(target: DType) -> Array:
    """The byte for each upper half of a float32 whose lowest bit is set if the lower half is not 0.

    The halves have four bits of the fraction more than is kept, at least: enough to tell on which
    side of the middle between two numbers a value lies. All steps are exact in float64.
    """
    fraction, bias, infinity = _LAYOUTS[target]
    codes = np.arange(infinity + 1)
    exponents, fractions = codes >> fraction, codes & ((1 << fraction) - 1)
    whole = np.where(exponents > 0, fractions + (1 << fraction), fractions)
    numbers = np.ldexp(whole.astype("<f8"), np.maximum(exponents, 1) - bias - fraction)
    middles = (numbers[:-1] + numbers[1:]) / 2
    halves = np.arange(0x7F80, dtype="<u4")  # of the finite ones
    values = (halves << np.uint32(16)).view("<f4").astype("<f8")
    below = np.searchsorted(middles, values, side="left")
    is_tie = np.searchsorted(middles, values, side="right") > below
    rounded = np.full(0x8000, _NAN)
    rounded[:0x7F80] = below + (is_tie & (below % 2 == 1))
    rounded[0x7F80] = infinity
    return np.concatenate([rounded, rounded | 0x80]).astype(np.uint8)
