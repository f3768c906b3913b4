"""The float types that go by way of float32: their codes in parameters, there and back again.

float32 holds every bfloat16 and float16. What predictors compute, they compute on it.
"""

from typing import Any

import numpy as np

from cairn.domain import DType

CODES = {DType.F32: 1, DType.BF16: 2, DType.F16: 3}
TYPES = {code: dtype for dtype, code in CODES.items()}

Array = np.ndarray[Any, Any]


def bits(data: memoryview, dtype: DType) -> Array:
    """Values as unsigned integers (n,)."""
    return np.frombuffer(data, dtype=f"<u{dtype.block_bytes}")


def widen(values: Array, source: DType, out: Array) -> None:
    """Bits (n,) of one of the types to those of float32 (n,), exactly."""
    from cairn.store import cast_kernels  # numba takes half a second: only when needed

    if source is DType.BF16:
        cast_kernels.widen_bf16(values, out)
    elif source is DType.F16:
        cast_kernels.widen_f16(values, out)
    else:
        out[:] = values


def narrow(singles: Array, target: DType, out: Array) -> None:
    """Bits (n,) of float32 to those of one of the types (n,), to nearest."""
    from cairn.store import cast_kernels

    if target is DType.BF16:
        cast_kernels.round_to_bf16(singles, out)
    elif target is DType.F16:
        cast_kernels.round_to_f16(singles, out)
    else:
        out[:] = singles
