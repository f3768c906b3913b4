"""Quantised values are to the last bit what the gguf package makes of the same bytes."""

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as GgmlType

from cairn.domain import DType
from cairn.errors import MalformedError, UnknownFormatError
from cairn.formats.quantised import can_dequantise, dequantise

BY_CODEBOOK = {"IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S"}
# What the package has no decoder for either.
ONLY_OURS = {"Q8_1", "Q8_K", "Q1_0"}
DECODED = sorted(d.label for d in DType if can_dequantise(d))
QUANTISED = {d.label for d in DType if d.is_block_quantised}


def same(found: np.ndarray, wanted: np.ndarray) -> None:
    """Equal, zeros of either sign and numbers that are none included."""
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, wanted.reshape(-1))


def any_bytes(label: str, blocks: int) -> np.ndarray:
    rng = np.random.default_rng(sum(label.encode()))
    return rng.integers(0, 256, (1, blocks * DType[label].block_bytes), np.uint8)


def test_every_quantised_type_is_decoded_or_needs_a_codebook() -> None:
    assert QUANTISED - set(DECODED) == BY_CODEBOOK
    assert set(DECODED) <= QUANTISED


@pytest.mark.parametrize("label", [label for label in DECODED if label not in ONLY_OURS])
def test_any_block_is_what_the_library_makes_of_it(label: str) -> None:
    raw = any_bytes(label, 1000)
    with np.errstate(all="ignore"):
        wanted = gguf.dequantize(raw, GgmlType[label])
    same(dequantise(DType[label], raw.reshape(-1)), wanted)


@pytest.mark.parametrize(
    "label", ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "TQ1_0", "TQ2_0", "MXFP4"]
)
def test_what_the_library_quantised_comes_back_alike(label: str) -> None:
    values = np.random.default_rng(3).standard_normal((6, 512), np.float32)
    raw = gguf.quantize(values, GgmlType[label])
    found = dequantise(DType[label], raw.reshape(-1))
    same(found, gguf.dequantize(raw, GgmlType[label]))
    assert np.corrcoef(found, values.reshape(-1))[0, 1] > 0.65


def test_types_that_only_compute_are_a_scale_times_codes() -> None:
    codes = np.arange(-16, 16, dtype=np.int8)
    scale = np.array([0.5, 7], "<f2")
    same(
        dequantise(DType.Q8_1, np.frombuffer(scale.tobytes() + codes.tobytes(), np.uint8)),
        codes * np.float32(0.5),
    )
    many = np.arange(-128, 128).astype(np.int8)
    block = np.float32(0.25).tobytes() + many.tobytes() + bytes(32)
    same(dequantise(DType.Q8_K, np.frombuffer(block, np.uint8)), many * np.float32(0.25))


def test_one_bit_chooses_the_sign_of_the_scale_lowest_bit_first() -> None:
    block = np.float16(1.5).tobytes() + b"\x05" + bytes(14) + b"\x80"
    found = dequantise(DType.Q1_0, np.frombuffer(block, np.uint8))
    assert np.flatnonzero(found == 1.5).tolist() == [0, 2, 127]
    assert (found == -1.5).sum() == 125


def test_a_tensor_may_be_decoded_in_runs_of_blocks() -> None:
    raw = any_bytes("Q6_K", 9000).reshape(-1)
    whole = dequantise(DType.Q6_K, raw)
    cut = 5 * DType.Q6_K.block_bytes
    parts = [dequantise(DType.Q6_K, raw[:cut]), dequantise(DType.Q6_K, raw[cut:])]
    same(np.concatenate(parts), whole)


def test_no_blocks_are_no_elements() -> None:
    assert dequantise(DType.Q4_K, np.empty(0, np.uint8)).shape == (0,)


def test_half_a_block_and_unknown_types_are_refused() -> None:
    with pytest.raises(MalformedError, match="whole blocks"):
        dequantise(DType.Q4_0, np.zeros(17, np.uint8))
    for label in (*BY_CODEBOOK, "F32"):
        with pytest.raises(UnknownFormatError, match=label):
            dequantise(DType[label], np.zeros(0, np.uint8))
