"""The same values in another float type: a bfloat16 or float16 copy of a float32 tensor.

| offset | bytes | field |
|---|---|---|
| 0 | 1 | u8 type of the bases: 1 F32, 2 BF16, 3 F16 |

Rounding is to nearest, ties to even (IEEE 754), NaNs keep their upper payload bits and become
quiet; widening is exact. All in integer arithmetic, so that no processor's or library's idea
of a NaN can change what was stored. A float16 from bfloat16, or the other way, goes by way of
float32, which holds both.
"""

from typing import Any

import numpy as np

from cairn.domain import DType
from cairn.errors import IntegrityError
from cairn.store.bases import BaseBytes
from cairn.store.predictor import Predictor
from cairn.store.scratch import Scratch

_CODES = {DType.F32: 1, DType.BF16: 2, DType.F16: 3}
_TYPES = {code: dtype for dtype, code in _CODES.items()}

Array = np.ndarray[Any, Any]


def cast_params(base: DType, target: DType) -> bytes | None:
    """The parameters for bases of this type, or None if they cannot be cast to `target`."""
    return bytes([_CODES[base]]) if base in _CODES and target in _CODES else None


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
        source = _TYPES.get(params[0]) if len(params) == 1 else None
        if source is None or dtype is None or dtype not in _CODES or source is dtype:
            raise IntegrityError(f"nothing casts {bytes(params).hex()} to {dtype}")
        count, rest = divmod(len(out), dtype.block_bytes)
        if rest:
            raise IntegrityError(f"{len(out)} bytes are not whole elements of {dtype.label}")
        with scratch.bytes(count * source.block_bytes) as plain:
            bases.read_into(plain)
            values = np.frombuffer(plain.toreadonly(), dtype=_unsigned(source))
            _cast(values, source, np.frombuffer(out, dtype=_unsigned(dtype)), dtype)


def _unsigned(dtype: DType) -> str:
    return f"<u{dtype.block_bytes}"


def _cast(values: Array, source: DType, out: Array, target: DType) -> None:
    """Bits (n,) of one type to bits (n,) of another."""
    from cairn.store import cast_kernels  # numba takes half a second: only when needed

    if source is DType.F32:
        singles = values
    elif target is DType.F32:
        singles = out
    else:
        singles = np.empty(len(values), dtype="<u4")
    if source is DType.BF16:
        cast_kernels.widen_bf16(values, singles)
    elif source is DType.F16:
        cast_kernels.widen_f16(values, singles)
    if target is DType.BF16:
        cast_kernels.round_to_bf16(singles, out)
    elif target is DType.F16:
        cast_kernels.round_to_f16(singles, out)
