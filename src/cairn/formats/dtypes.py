"""How the elements of each dtype look to NumPy."""

from typing import Any

import ml_dtypes
import numpy as np

from cairn.domain import DType

_KINDS: dict[DType, Any] = {
    DType.BOOL: np.bool_,
    DType.U8: np.uint8,
    DType.I8: np.int8,
    DType.F8_E5M2: ml_dtypes.float8_e5m2,
    DType.F8_E4M3: ml_dtypes.float8_e4m3fn,
    DType.F8_E5M2FNUZ: ml_dtypes.float8_e5m2fnuz,
    DType.F8_E4M3FNUZ: ml_dtypes.float8_e4m3fnuz,
    DType.F8_E8M0: ml_dtypes.float8_e8m0fnu,
    DType.I16: "<i2",
    DType.U16: "<u2",
    DType.F16: "<f2",
    DType.BF16: ml_dtypes.bfloat16,
    DType.I32: "<i4",
    DType.U32: "<u4",
    DType.F32: "<f4",
    DType.I64: "<i8",
    DType.U64: "<u8",
    DType.F64: "<f8",
    DType.C64: "<c8",
    DType.C128: "<c16",
    DType.QI8: np.int8,
    DType.QU8: np.uint8,
    DType.QI32: "<i4",
}
_NUMPY: dict[DType, np.dtype[Any]] = {dtype: np.dtype(kind) for dtype, kind in _KINDS.items()}
_OPAQUE: dict[int, np.dtype[Any]] = {
    1: np.dtype("u1"),
    2: np.dtype("<u2"),
    4: np.dtype("<u4"),
    8: np.dtype("<u8"),
}


def numpy_dtype(dtype: DType) -> np.dtype[Any] | None:
    """The NumPy type of one element; None where NumPy has none (packed and quantised types)."""
    return _NUMPY.get(dtype)


def unit_dtype(dtype: DType) -> np.dtype[Any]:
    """A type of the size of one block, for moving elements about without looking at them."""
    size = dtype.block_bytes
    known = _OPAQUE.get(size)
    return np.dtype(f"V{size}") if known is None else known
