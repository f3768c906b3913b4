"""Floats: every dtype decodes to the numbers that torch, ONNX or ml_dtypes say it holds."""

import ml_dtypes
import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cairn.analysis.floats import floats, is_decodable, parts_per_element
from cairn.domain import DType
from cairn.errors import CairnError

EVERY_BYTE = bytes(range(256))
EVERY_HALF = np.arange(1 << 16, dtype="<u2").tobytes()

# What torch calls the same elements; all bytes or all pairs of bytes are decoded and compared.
TORCH = {
    DType.U8: torch.uint8,
    DType.I8: torch.int8,
    DType.F8_E5M2: torch.float8_e5m2,
    DType.F8_E4M3: torch.float8_e4m3fn,
    DType.F8_E5M2FNUZ: torch.float8_e5m2fnuz,
    DType.F8_E4M3FNUZ: torch.float8_e4m3fnuz,
    DType.F8_E8M0: torch.float8_e8m0fnu,
    DType.I16: torch.int16,
    DType.U16: torch.uint16,
    DType.F16: torch.float16,
    DType.BF16: torch.bfloat16,
}


@pytest.mark.parametrize("dtype", TORCH, ids=lambda dtype: dtype.label)
def test_every_pattern_of_a_narrow_type_has_the_value_torch_reads(dtype: DType) -> None:
    raw = EVERY_BYTE if dtype.block_bytes == 1 else EVERY_HALF
    values = floats(raw, dtype)
    wanted = torch.frombuffer(bytearray(raw), dtype=TORCH[dtype]).to(torch.float32).numpy()
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, wanted)


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [
        (DType.I32, "<i4"),
        (DType.U32, "<u4"),
        (DType.QI32, "<i4"),
        (DType.I64, "<i8"),
        (DType.U64, "<u8"),
        (DType.F64, "<f8"),
    ],
)
def test_wide_types_become_doubles(dtype: DType, kind: str) -> None:
    array = np.random.default_rng(1).integers(0, 1 << 31, 100).astype(kind) * np.array(3, kind)
    values = floats(array.tobytes(), dtype)
    assert values.dtype == np.float64
    np.testing.assert_array_equal(values, array.astype(np.float64))


def test_single_floats_are_the_bytes_themselves() -> None:
    array = np.array([0.0, -0.0, 1e-45, -3.5, np.inf, np.nan], "<f4")
    block = array.tobytes()
    assert floats(block, DType.F32).tobytes() == block
    assert np.shares_memory(floats(array.view(np.uint8), DType.F32), array)


@pytest.mark.parametrize(
    ("dtype", "kind"), [(DType.C32, np.float16), (DType.C64, np.float32), (DType.C128, np.float64)]
)
def test_complex_numbers_come_as_their_two_parts(dtype: DType, kind: type) -> None:
    array = np.arange(12).astype(kind)
    np.testing.assert_array_equal(floats(array.tobytes(), dtype, 5), np.arange(10))
    assert parts_per_element(dtype) == 2


@pytest.mark.parametrize(
    ("dtype", "onnx_type"),
    [
        (DType.F4, onnx.TensorProto.FLOAT4E2M1),
        (DType.I4, onnx.TensorProto.INT4),
        (DType.U4, onnx.TensorProto.UINT4),
        (DType.I2, onnx.TensorProto.INT2),
        (DType.U2, onnx.TensorProto.UINT2),
    ],
)
def test_packed_types_unpack_as_onnx_does(dtype: DType, onnx_type: int) -> None:
    elements = 256 * dtype.block_elements - 1  # odd: the last byte has padding
    tensor = onnx.TensorProto(data_type=onnx_type, dims=[elements], raw_data=EVERY_BYTE)
    wanted = onnx.numpy_helper.to_array(tensor).astype(np.float32)
    np.testing.assert_array_equal(floats(EVERY_BYTE, dtype, elements), wanted)


@pytest.mark.filterwarnings("ignore:torch.quantize_per")
def test_packed_affine_types_unpack_as_torch_does() -> None:
    codes = torch.arange(15) % 16
    weight = torch.quantize_per_channel(
        codes.float()[None], torch.ones(1), torch.zeros(1), 0, torch.quint4x2
    )
    raw = bytes(weight.untyped_storage())[:8]
    np.testing.assert_array_equal(floats(raw, DType.QU4X2, 15), codes.numpy())


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [
        (DType.F6_E2M3, ml_dtypes.float6_e2m3fn),
        (DType.F6_E3M2, ml_dtypes.float6_e3m2fn),
    ],
)
@given(codes=st.lists(st.integers(0, 63), min_size=1, max_size=40))
def test_four_six_bit_elements_share_three_bytes(dtype: DType, kind: type, codes) -> None:
    number = sum(code << 6 * at for at, code in enumerate(codes))
    raw = number.to_bytes(dtype.size_bytes(len(codes)), "little")
    wanted = np.array(codes, np.uint8).view(kind).astype(np.float32)
    np.testing.assert_array_equal(floats(raw, dtype, len(codes)), wanted)


def test_any_boolean_but_zero_is_true() -> None:
    np.testing.assert_array_equal(floats(b"\0\1\2\xff", DType.BOOL), [0, 1, 1, 1])


def test_every_type_decodes_unless_its_codebook_is_nowhere_stated() -> None:
    for dtype in DType:
        assert is_decodable(dtype) or dtype.label.startswith(("IQ1", "IQ2", "IQ3")), dtype
        if is_decodable(dtype):
            values = floats(bytes(6 * dtype.block_bytes), dtype)
            wanted = 6 * dtype.block_elements * parts_per_element(dtype)
            assert len(values) == wanted, dtype


def test_a_type_that_does_not_decode_is_refused_by_name() -> None:
    with pytest.raises(CairnError, match="IQ1_S"):
        floats(bytes(DType.IQ1_S.block_bytes), DType.IQ1_S)
