"""The predictors: the conformance suite, and casts against NumPy and torch."""

from collections.abc import Iterator

import ml_dtypes
import numpy as np
import pytest
import torch

from cairn.domain import DType
from cairn.errors import IntegrityError
from cairn.store.predictors import CastPredictor, SamePredictor
from cairn.store.predictors.cast import cast_params
from cairn.testing.predictors import Case, PredictorSuite, prediction

FLOATS = (DType.F32, DType.BF16, DType.F16)


class TestSame(PredictorSuite):
    predictor = SamePredictor()

    def cases(self, seed: int) -> Iterator[Case]:
        rng = np.random.default_rng(seed)
        yield Case(b"", [rng.bytes(100)], 100, DType.F32)
        yield Case(b"", [rng.bytes(70), rng.bytes(30)], 100, None)


class TestCast(PredictorSuite):
    predictor = CastPredictor()

    def cases(self, seed: int) -> Iterator[Case]:
        rng = np.random.default_rng(seed)
        for source in FLOATS:
            for target in FLOATS:
                params = cast_params(source, target)
                if params is not None and source is not target:
                    bases = [rng.bytes(60 * source.block_bytes), rng.bytes(40 * source.block_bytes)]
                    yield Case(params, bases, 100 * target.block_bytes, target)


def cast(values: np.ndarray, source: DType, target: DType) -> np.ndarray:
    """Bits in one type to bits in another."""
    params = cast_params(source, target)
    assert params is not None
    case = Case(params, [values.tobytes()], len(values) * target.block_bytes, target)
    return np.frombuffer(prediction(CastPredictor(), case), f"<u{target.block_bytes}")


def interesting_singles() -> np.ndarray:
    """Random bits, and everything around the places where rounding to half precision turns."""
    rng = np.random.default_rng(1)
    edges = np.array([0x33000000, 0x33800000, 0x38800000, 0x477FF000, 0x47800000, 0x7F800000])
    near = (edges[:, None] + np.arange(-9000, 9000)).ravel()
    ties = (np.arange(0x380, 0x478) << 20)[:, None] + (np.arange(256) << 12)
    bits = np.concatenate([near, ties.ravel(), rng.integers(0, 2**31, 400_000), [0]])
    bits = bits.clip(0, 2**31 - 1).astype("<u4")
    return np.concatenate([bits, bits | np.uint32(1 << 31)])


def without_nan(bits: np.ndarray, source: DType) -> np.ndarray:
    if source is DType.F32:
        return bits[(bits & 0x7FFFFFFF) <= 0x7F800000]
    infinity = 0x7F80 if source is DType.BF16 else 0x7C00
    return bits[(bits & 0x7FFF) <= infinity]


def test_float32_rounds_to_bfloat16_as_torch_does() -> None:
    bits = without_nan(interesting_singles(), DType.F32)
    theirs = torch.from_numpy(bits.view("<f4")).bfloat16().view(torch.uint16).numpy()
    assert np.array_equal(cast(bits, DType.F32, DType.BF16), theirs)


def test_float32_rounds_to_float16_as_torch_and_numpy_do() -> None:
    bits = without_nan(interesting_singles(), DType.F32)
    ours = cast(bits, DType.F32, DType.F16)
    singles = bits.view("<f4")
    with np.errstate(over="ignore"):
        assert np.array_equal(ours, singles.astype("<f2").view("<u2"))
    assert np.array_equal(ours, torch.from_numpy(singles).half().view(torch.uint16).numpy())


@pytest.mark.parametrize("source", [DType.F16, DType.BF16])
def test_every_half_widens_exactly(source: DType) -> None:
    every = without_nan(np.arange(1 << 16, dtype="<u2"), source)
    theirs = every.view("<f2" if source is DType.F16 else ml_dtypes.bfloat16).astype("<f4")
    assert np.array_equal(cast(every, source, DType.F32), theirs.view("<u4"))


@pytest.mark.parametrize(("source", "target"), [(DType.F16, DType.BF16), (DType.BF16, DType.F16)])
def test_halves_go_into_each_other_by_way_of_float32(source: DType, target: DType) -> None:
    every = without_nan(np.arange(1 << 16, dtype="<u2"), source)
    singles = cast(every, source, DType.F32)
    assert np.array_equal(cast(every, source, target), cast(singles, DType.F32, target))


def test_a_nan_stays_one() -> None:
    nans = np.array([0x7F800001, 0xFF800001, 0x7FFFFFFF, 0x7FC00000], "<u4")
    for target, infinity in ((DType.BF16, 0x7F80), (DType.F16, 0x7C00)):
        narrow = cast(nans, DType.F32, target)
        assert ((narrow & 0x7FFF) > infinity).all()
        wide = cast(narrow, target, DType.F32)
        assert ((wide & 0x7FFFFFFF) > 0x7F800000).all()
        assert np.array_equal(wide >> 31, nans >> 31)


@pytest.mark.parametrize("dtype", [None, DType.F32, DType.I64, DType.F64])
def test_what_cannot_be_cast_is_an_integrity_error(dtype: DType | None) -> None:
    with pytest.raises(IntegrityError):
        prediction(CastPredictor(), Case(b"\1", [bytes(64)], 64, dtype))
