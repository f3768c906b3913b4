"""torch's names for element types, as they stand in pickles.

Sources: `torch/storage.py` (`_dtype_to_storage_type_map`), `torch/_utils.py` and
https://docs.pytorch.org/docs/stable/tensor_attributes.html of torch 2.13.
"""

from cairn.domain import DType

STORAGE_DTYPES: dict[str, DType] = {
    "DoubleStorage": DType.F64,
    "FloatStorage": DType.F32,
    "HalfStorage": DType.F16,
    "BFloat16Storage": DType.BF16,
    "LongStorage": DType.I64,
    "IntStorage": DType.I32,
    "ShortStorage": DType.I16,
    "CharStorage": DType.I8,
    "ByteStorage": DType.U8,
    "BoolStorage": DType.BOOL,
    "ComplexDoubleStorage": DType.C128,
    "ComplexFloatStorage": DType.C64,
    "QInt8Storage": DType.QI8,
    "QUInt8Storage": DType.QU8,
    "QInt32Storage": DType.QI32,
    # Two or four elements to the byte; torch counts and strides elements.
    "QUInt4x2Storage": DType.QU4X2,
    "QUInt2x4Storage": DType.QU2X4,
}
"""Typed storage classes, by their name in the modules of `STORAGE_MODULES`."""

UNTYPED_STORAGES = frozenset(("UntypedStorage", "_UntypedStorage"))
"""Storage classes that count bytes."""

STORAGE_MODULES = frozenset(("torch", "torch.storage", "torch.cuda"))
"""Modules storage classes are named under."""

TORCH_DTYPES: dict[str, DType] = {
    "float64": DType.F64,
    "double": DType.F64,
    "float32": DType.F32,
    "float": DType.F32,
    "float16": DType.F16,
    "half": DType.F16,
    "bfloat16": DType.BF16,
    "float8_e4m3fn": DType.F8_E4M3,
    "float8_e5m2": DType.F8_E5M2,
    "float8_e4m3fnuz": DType.F8_E4M3FNUZ,
    "float8_e5m2fnuz": DType.F8_E5M2FNUZ,
    "float8_e8m0fnu": DType.F8_E8M0,
    # torch counts bytes that hold two numbers; safetensors counts numbers.
    "float4_e2m1fn_x2": DType.F4,
    "int64": DType.I64,
    "long": DType.I64,
    "int32": DType.I32,
    "int": DType.I32,
    "int16": DType.I16,
    "short": DType.I16,
    "int8": DType.I8,
    "uint8": DType.U8,
    "uint16": DType.U16,
    "uint32": DType.U32,
    "uint64": DType.U64,
    "bool": DType.BOOL,
    "complex32": DType.C32,
    "chalf": DType.C32,
    "complex64": DType.C64,
    "cfloat": DType.C64,
    "complex128": DType.C128,
    "cdouble": DType.C128,
    "qint8": DType.QI8,
    "quint8": DType.QU8,
    "qint32": DType.QI32,
    "quint4x2": DType.QU4X2,
    "quint2x4": DType.QU2X4,
    # Bits without a meaning torch knows: shown as bytes.
    "bits8": DType.U8,
    "bits16": DType.U16,
}
"""`torch.dtype` objects, by their name in module `torch`."""

TWO_PER_BYTE = frozenset(("float4_e2m1fn_x2",))
"""dtypes whose torch element is a byte of two numbers; the last axis doubles when listed."""

SCALAR_TYPES: dict[int, DType] = {
    1: DType.U8,
    2: DType.I8,
    3: DType.I16,
    4: DType.I32,
    5: DType.I64,
    6: DType.F16,
    7: DType.F32,
    8: DType.F64,
    9: DType.C32,
    10: DType.C64,
    11: DType.C128,
    12: DType.BOOL,
    13: DType.BF16,
    28: DType.U16,
    29: DType.F8_E4M3,
    30: DType.F8_E5M2,
    31: DType.F8_E4M3FNUZ,
    32: DType.F8_E5M2FNUZ,
    33: DType.F8_E8M0,
    34: DType.U32,
    35: DType.U64,
}
"""`ScalarType` of exported programs (`torch/_export/serde/schema.py`)."""
