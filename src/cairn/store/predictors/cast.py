"""The same values in another float type: a bfloat16 or float16 copy of a float32 tensor.

| offset | bytes | field |
|---|---|---|
| 0 | 1 | u8 type of the bases: 1 F32, 2 BF16, 3 F16 |

Rounding is to nearest, ties to even (IEEE 754), NaNs keep their upper payload bits and become
quiet; widening is exact. All in integer arithmetic, so that no processor's or library's idea
of a NaN can change what was stored. A float16 from bfloat16, or the other way, goes by way of
float32, which holds both.
"""

import numpy as np

from cairn.domain import DType
from cairn.errors import IntegrityError
from cairn.store.bases import BaseBytes
from cairn.store.predictor import Predictor
from cairn.store.scratch import Scratch
from cairn.store.single_floats import CODES, TYPES, Array, bits, narrow, widen


def cast_params(base: DType, target: DType) -> bytes | None:
    """The parameters for bases of this type, or None if they cannot be cast to `target`."""
    return bytes([CODES[base]]) if base in CODES and target in CODES else None


class CastPredictor(Predictor):
    """A value is that of the base, rounded to this type or widened."""

    name = "cast"

    def predict_into(
        self,
        params: memoryview,
        bases: BaseBytes,
        out: memoryview,
        dtype: DType | None,
        scratch: Scratch,
    ) -> None:
        """The bases' values, cast."""
        source = TYPES.get(params[0]) if len(params) == 1 else None
        if source is None or dtype is None or dtype not in CODES or source is dtype:
            raise IntegrityError(f"nothing casts {bytes(params).hex()} to {dtype}")
        count, rest = divmod(len(out), dtype.block_bytes)
        if rest:
            raise IntegrityError(f"{len(out)} bytes are not whole elements of {dtype.label}")
        with scratch.bytes(count * source.block_bytes) as plain:
            bases.read_into(plain)
            _cast(bits(plain.toreadonly(), source), source, bits(out, dtype), dtype)


def _cast(values: Array, source: DType, out: Array, target: DType) -> None:
    """Bits (n,) of one type to bits (n,) of another."""
    if source is DType.F32:
        narrow(values, target, out)
    elif target is DType.F32:
        widen(values, source, out)
    else:
        singles = np.empty(len(values), dtype="<u4")
        widen(values, source, singles)
        narrow(singles, target, out)
