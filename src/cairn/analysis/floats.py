"""The values behind a tensor's bytes, as floating-point numbers that NumPy can count with.

Narrow types decode by a table with one row per byte, 16-bit floats by `widening`, blocks with
shared scales by `cairn.formats.quantised`, the others by NumPy and ml_dtypes; only types with
codebooks that no specification states do not decode. Whole numbers of 32 and 64 bits and doubles
become float64 (beyond 2^53 whole numbers are rounded), everything else float32, which is exact.
A complex number is its two parts, one after the other.

Packed types put the first element into the low bits, as torch (`aten/src/ATen/native/quantized`)
and ONNX (https://onnx.ai/onnx/technical/int4.html, https://onnx.ai/onnx/technical/float4.html)
do. Four 6-bit elements share three bytes, read as one little-endian number; no specification
says so, torch and ONNX have no packed 6-bit type. Affine types of torch (`QI8` ...) give their
codes: scale and zero point are not part of the tensor's bytes.
"""

from functools import cache
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from cairn.analysis.widening import widen_brain, widen_half
from cairn.domain import DType
from cairn.formats.dtypes import numpy_dtype
from cairn.formats.quantised import can_dequantise, dequantise

Floats = NDArray[np.float32] | NDArray[np.float64]
Codes = NDArray[np.uint8] | NDArray[np.uint16]
Buffer = bytes | bytearray | memoryview | NDArray[np.uint8]

_DOUBLE = frozenset((DType.I32, DType.U32, DType.QI32, DType.I64, DType.U64, DType.F64, DType.C128))
_PARTS: dict[DType, str] = {DType.C32: "<f2", DType.C64: "<f4", DType.C128: "<f8"}
_WIDENED = {DType.F16: widen_half, DType.C32: widen_half, DType.BF16: widen_brain}
_PACKED: dict[DType, tuple[int, type[Any]]] = {
    DType.F4: (4, ml_dtypes.float4_e2m1fn),
    DType.F6_E2M3: (6, ml_dtypes.float6_e2m3fn),
    DType.F6_E3M2: (6, ml_dtypes.float6_e3m2fn),
    DType.I4: (4, ml_dtypes.int4),
    DType.U4: (4, ml_dtypes.uint4),
    DType.I2: (2, ml_dtypes.int2),
    DType.U2: (2, ml_dtypes.uint2),
    DType.QU4X2: (4, ml_dtypes.uint4),
    DType.QU2X4: (2, ml_dtypes.uint2),
}
"""Bits of one element, and the type that has its values."""


def parts_per_element(dtype: DType) -> int:
    """Numbers that one element decodes to: 2 for complex types."""
    return 2 if dtype in _PARTS else 1


def is_decodable(dtype: DType) -> bool:
    """Whether `floats` knows the values of this type."""
    if dtype.is_block_quantised:
        return can_dequantise(dtype)
    return dtype in _PARTS or dtype in _PACKED or numpy_dtype(dtype) is not None


def is_floating(dtype: DType) -> bool:
    """Whether the numbers have an exponent: also those in blocks with a shared scale."""
    return dtype.is_block_quantised or dtype.label.lstrip("B").startswith(("F", "C"))


def code_bits(dtype: DType) -> int | None:
    """Bits of one number where few patterns exist (16 bits or fewer), else None.

    Such tensors are best looked at by counting patterns: see `codes` and `code_values`.
    """
    if dtype in _PACKED:
        return _PACKED[dtype][0]
    bits = 8 * dtype.block_bytes // parts_per_element(dtype)
    return bits if bits <= 16 and is_decodable(dtype) else None


def codes(block: Buffer, dtype: DType, elements: int) -> Codes:
    """The patterns of the numbers in whole blocks, flat, as unsigned integers of 8 or 16 bits."""
    raw = np.frombuffer(block, np.uint8)
    if dtype not in _PACKED:
        return raw if dtype.block_bytes == 1 else raw.view("<u2")
    bits, _ = _PACKED[dtype]
    found = _six_bit_codes(raw) if bits == 6 else _packed_codes(bits).take(raw, axis=0).reshape(-1)
    return found[:elements]


@cache
def code_values(dtype: DType) -> NDArray[np.float32]:
    """The number that each pattern stands for, all patterns in order."""
    if dtype in _PACKED:
        return _code_table(dtype)
    if code_bits(dtype) == 8:
        return _byte_table(dtype)
    return floats(np.arange(1 << 16, dtype="<u2").view(np.uint8), dtype).astype(np.float32)


def smallest_normal(dtype: DType) -> float:
    """The smallest positive number of full precision; 0 where there are no subnormal numbers."""
    if not is_floating(dtype):
        return 0.0
    if dtype.is_block_quantised:
        return float(np.finfo(np.float32).smallest_normal)
    kind = _PACKED[dtype][1] if dtype in _PACKED else np.dtype(_PARTS.get(dtype) or _known(dtype))
    return float(ml_dtypes.finfo(kind).smallest_normal)  # type: ignore[no-untyped-call]


def floats(block: Buffer, dtype: DType, elements: int | None = None) -> Floats:
    """The numbers in a run of whole little-endian blocks, flat; complex ones as pairs.

    `elements` cuts off the padding of a last packed block; None keeps all that the bytes hold.
    The result may be a read-only view of `block`.

    Raises:
        UnknownFormatError: the type does not decode; see `is_decodable`.
    """
    raw = np.frombuffer(block, np.uint8)
    if dtype in _PACKED:
        values: Floats = _unpacked(raw, dtype)
    elif dtype.is_block_quantised:
        values = dequantise(dtype, raw)
    elif dtype.block_bytes == 1:
        values = _byte_table(dtype).take(raw)
    elif dtype in _WIDENED:
        values = np.empty(raw.size // 2, np.float32)
        _WIDENED[dtype](raw.view("<u2"), values)
    else:
        plain = raw.view(_PARTS.get(dtype) or _known(dtype))
        if dtype in _DOUBLE:
            values = plain.astype(np.float64, copy=False)
        else:
            values = plain.astype(np.float32, copy=False)
    return values if elements is None else values[: elements * parts_per_element(dtype)]


def _known(dtype: DType) -> np.dtype[Any]:
    kind = numpy_dtype(dtype)
    assert kind is not None, dtype
    return kind


def _unpacked(raw: NDArray[np.uint8], dtype: DType) -> NDArray[np.float32]:
    bits, _ = _PACKED[dtype]
    if bits == 6:
        return _code_table(dtype).take(_six_bit_codes(raw))
    return _packed_table(dtype).take(raw, axis=0).reshape(-1)  # (bytes, elements in a byte)


def _six_bit_codes(raw: NDArray[np.uint8]) -> NDArray[np.uint8]:
    first, second, third = raw.reshape(-1, 3).T
    four = np.empty((len(first), 4), np.uint8)  # (groups, elements in a group)
    four[:, 0] = first & 63
    four[:, 1] = first >> 6 | (second & 15) << 2
    four[:, 2] = second >> 4 | (third & 3) << 4
    four[:, 3] = third >> 2
    return four.reshape(-1)


@cache
def _byte_table(dtype: DType) -> NDArray[np.float32]:
    every = np.arange(256, dtype=np.uint8)
    # A boolean other than 0 and 1 is true, as for torch.
    return (every != 0 if dtype is DType.BOOL else every.view(_known(dtype))).astype(np.float32)


@cache
def _code_table(dtype: DType) -> NDArray[np.float32]:
    bits, kind = _PACKED[dtype]
    every = np.arange(1 << bits, dtype=np.uint8)
    return every.view(np.dtype(kind)).astype(np.float32)


@cache
def _packed_table(dtype: DType) -> NDArray[np.float32]:
    return _code_table(dtype).take(_packed_codes(_PACKED[dtype][0]))  # (256, elements in a byte)


@cache
def _packed_codes(bits: int) -> NDArray[np.uint8]:
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    every = np.arange(256, dtype=np.uint8)[:, None]
    return every >> shifts & np.uint8((1 << bits) - 1)  # (256, elements in a byte)
