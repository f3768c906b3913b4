"""Arrays that a program hands over, as bytes: of NumPy, or of whatever speaks DLPack.

A DLPack capsule named `dltensor` points to this, in the machine's byte order
(https://dmlc.github.io/dlpack/latest/c_api.html, `DLTensor`):

| type | field |
|---|---|
| void* | first byte |
| i32, i32 | device type, device number |
| i32 | axes N |
| u8, u8, u16 | type code, bits, lanes |
| i64* | shape (N,) |
| i64* | strides (N,) in elements, or null: row-major |
| u64 | bytes from the first byte to the first element |

NumPy takes such a capsule too, but not of bfloat16 or float8.
"""

import ctypes
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from cairn.domain import DType
from cairn.errors import RequestError
from cairn.formats.dtypes import numpy_dtype, unit_dtype

_CPU = 1
# (type code, bits) of `DLDataTypeCode`; one lane each.
_CODES: dict[tuple[int, int], DType] = {
    (0, 8): DType.I8,
    (0, 16): DType.I16,
    (0, 32): DType.I32,
    (0, 64): DType.I64,
    (1, 8): DType.U8,
    (1, 16): DType.U16,
    (1, 32): DType.U32,
    (1, 64): DType.U64,
    (2, 16): DType.F16,
    (2, 32): DType.F32,
    (2, 64): DType.F64,
    (4, 16): DType.BF16,
    (5, 64): DType.C64,
    (6, 8): DType.BOOL,
    (10, 8): DType.F8_E4M3,
    (11, 8): DType.F8_E4M3FNUZ,
    (12, 8): DType.F8_E5M2,
    (13, 8): DType.F8_E5M2FNUZ,
    (14, 8): DType.F8_E8M0,
}
_WRITABLE = tuple(_CODES.values())
_NUMPY = {np.dtype(numpy_dtype(dtype)): dtype for dtype in _WRITABLE if numpy_dtype(dtype)}


class _DLTensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)


@dataclass(frozen=True, slots=True)
class Handed:
    """A tensor's type and shape, and its elements row by row, little-endian.

    `values` looks at memory of the program: it is what it is at the moment of reading.
    """

    dtype: DType
    shape: tuple[int, ...]
    values: np.ndarray[Any, Any]

    def bytes(self) -> memoryview:
        """All elements; copied only where they do not lie row by row."""
        flat = np.ascontiguousarray(self.values).reshape(-1)
        return flat.view(np.uint8).data


def handed(name: str, value: Any) -> Handed:
    """A NumPy array, or anything that has `__dlpack__` (torch, JAX, CuPy, ...).

    What lies on another device is asked for its `cpu()` first.

    Raises:
        RequestError: it is none of these, or of a type that safetensors does not have.
    """
    if isinstance(value, np.ndarray | np.generic):
        return _of_numpy(name, np.asarray(value))
    if not hasattr(value, "__dlpack__"):
        raise RequestError(f"{name!r} is a {type(value).__name__}: neither array nor tensor")
    if hasattr(value, "detach"):
        value = value.detach()
    if value.__dlpack_device__()[0] != _CPU:
        if not hasattr(value, "cpu"):
            raise RequestError(f"{name!r} does not lie in memory: copy it there first")
        value = value.cpu()
    try:
        capsule = value.__dlpack__()
    except (BufferError, RuntimeError, TypeError) as error:
        raise RequestError(f"{name!r} cannot be read: {error}") from None
    return _of_capsule(name, value, capsule)


def _of_numpy(name: str, array: np.ndarray[Any, Any]) -> Handed:
    little = array.dtype.newbyteorder("<")
    dtype = _NUMPY.get(little)
    if dtype is None:
        raise RequestError(f"{name!r} has the dtype {array.dtype}, which safetensors lacks")
    return Handed(dtype, array.shape, array.astype(little, copy=False))


def _of_capsule(name: str, owner: Any, capsule: Any) -> Handed:
    tensor = _DLTensor.from_address(_pointer(capsule, b"dltensor"))
    dtype = _CODES.get((tensor.code, tensor.bits))
    if dtype is None or tensor.lanes != 1:
        told = f"code {tensor.code}, {tensor.bits} bits"
        raise RequestError(f"{name!r} has a type ({told}) that safetensors lacks")
    shape = tuple(tensor.shape[n] for n in range(tensor.ndim))
    unit = unit_dtype(dtype)
    if not prod(shape):
        return Handed(dtype, shape, np.empty(0, unit))
    if tensor.strides:
        strides = tuple(tensor.strides[n] * unit.itemsize for n in range(tensor.ndim))
    else:
        strides = tuple(prod(shape[n + 1 :]) * unit.itemsize for n in range(tensor.ndim))
    span = sum((n - 1) * step for n, step in zip(shape, strides, strict=True)) + unit.itemsize
    memory = (ctypes.c_uint8 * span).from_address(tensor.data + tensor.byte_offset)
    memory.owner = (owner, capsule)  # alive as long as the array looks at it
    return Handed(dtype, shape, np.ndarray(shape, unit, memory, strides=strides))
