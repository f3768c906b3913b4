"""TensorFlow's numbers for element types.

Source: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/framework/types.proto.
"""

from cairn.domain import DType

DTYPES: dict[int, DType] = {
    1: DType.F32,
    2: DType.F64,
    3: DType.I32,
    4: DType.U8,
    5: DType.I16,
    6: DType.I8,
    8: DType.C64,
    9: DType.I64,
    10: DType.BOOL,
    11: DType.QI8,
    12: DType.QU8,
    13: DType.QI32,
    14: DType.BF16,
    17: DType.U16,
    18: DType.C128,
    19: DType.F16,
    22: DType.U32,
    23: DType.U64,
    24: DType.F8_E5M2,
    25: DType.F8_E4M3,
}
"""Types that tensors of ours have."""

NO_TENSORS: dict[int, str] = {7: "strings", 20: "a resource", 21: "a variant"}
"""Types that none has."""

OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
"""The string tensor in which TensorFlow 2 keeps which object owns which variable."""
