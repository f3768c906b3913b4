"""The predictors: the conformance suite, and casts against NumPy and torch."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest
import torch

from cairn.domain import DType
from cairn.errors import IntegrityError
from cairn.store.decays import decays_between
from cairn.store.predictors import (
    CastPredictor,
    DecayPredictor,
    LowRankPredictor,
    SamePredictor,
)
from cairn.store.predictors.cast import cast_params
from cairn.store.predictors.decay import MULTIPLY, TOWARDS_ZERO, decay_params
from cairn.store.predictors.low_rank import MAX_POWER, LowRankParams, encode_numbers
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


def low_rank(
    seed: int, base: DType, dtype: DType, *, rounds: bool = False, first: int = 5
) -> tuple[Case, np.ndarray]:
    """A part of 100 elements of a matrix of 31 columns, and its update in float64."""
    rng = np.random.default_rng(seed)
    rows = -(-(first + 100) // 31)
    left, right = (rng.integers(-(2**14), 2**14, shape) for shape in ((rows, 3), (3, 31)))
    powers = (-35, -36, -38)
    values = rng.normal(0, 0.02, 100).astype("<f4")
    plain = values.tobytes() if base is DType.F32 else cast(values.view("<u4"), DType.F32, base)
    params = LowRankParams(base, rounds, 31, first, powers)
    bases = [bytes(plain), encode_numbers(left), encode_numbers(right)]
    update = (left * np.ldexp(1.0, np.array(powers))) @ right
    case = Case(params.encode(), bases, 100 * dtype.block_bytes, dtype)
    return case, update.ravel()[first : first + 100]


class TestLowRank(PredictorSuite):
    predictor = LowRankPredictor()

    def cases(self, seed: int) -> Iterator[Case]:
        for base in FLOATS:
            for target in FLOATS:
                yield low_rank(seed, base, target, rounds=bool(seed % 2))[0]


class TestDecay(PredictorSuite):
    predictor = DecayPredictor()

    def cases(self, seed: int) -> Iterator[Case]:
        rng = np.random.default_rng(seed)
        for kind in (MULTIPLY, TOWARDS_ZERO):
            bases = [rng.bytes(4 * 60), rng.bytes(4 * 40)]
            yield Case(decay_params(kind, 7, 0.1), bases, 400, DType.F32)


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


TORCH = {DType.F32: torch.float32, DType.BF16: torch.bfloat16, DType.F16: torch.float16}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("base", FLOATS)
@pytest.mark.parametrize("rounds", [False, True])
def test_a_low_rank_update_is_what_torch_adds(base: DType, dtype: DType, rounds: bool) -> None:
    case, update = low_rank(3, base, dtype, rounds=rounds)
    added = torch.from_numpy(update).float()
    if rounds:
        added = added.to(TORCH[dtype]).float()
    theirs = torch.frombuffer(bytearray(case.bases[0]), dtype=TORCH[base]).float() + added
    ours = torch.frombuffer(bytearray(prediction(LowRankPredictor(), case)), dtype=TORCH[dtype])
    assert torch.equal(ours, theirs.to(ours.dtype))


@pytest.mark.parametrize("first", [0, 5, 30])
def test_a_part_of_a_low_rank_update_may_begin_anywhere_in_a_row(first: int) -> None:
    case, update = low_rank(4, DType.F32, DType.F32, first=first)
    values = np.frombuffer(case.bases[0], "<f4")
    ours = np.frombuffer(prediction(LowRankPredictor(), case), "<f4")
    assert np.array_equal(ours, values + update.astype("<f4"))


def test_what_a_low_rank_update_would_make_infinite_stays_as_it_was() -> None:
    case, _ = low_rank(5, DType.F32, DType.F32)
    params = LowRankParams.parse(memoryview(case.params))
    loud = replace(case, params=replace(params, powers=(MAX_POWER,) * 3).encode())
    assert prediction(LowRankPredictor(), loud) == case.bases[0]
    nans = replace(case, bases=[b"\1\0\xa0\x7f" * 100, *case.bases[1:]])
    assert prediction(LowRankPredictor(), nans) == nans.bases[0]


def test_low_rank_updates_mean_the_same_bytes_for_ever() -> None:
    raw = hashlib.shake_256(b"low-rank").digest(16_000)  # NumPy's random numbers may change
    shorts = np.frombuffer(raw, "<i2").astype("<i4")
    factors = [encode_numbers(shorts[:32]), encode_numbers(shorts[32:232])]
    made = []
    for base in FLOATS:
        values = [raw[1000 : 1000 + 350 * base.block_bytes], *factors]
        for dtype in FLOATS:
            params = LowRankParams(base, dtype is not base, 50, 7, (-20, -24, -28, -30)).encode()
            case = Case(params, values, 350 * dtype.block_bytes, dtype)
            made.append(prediction(LowRankPredictor(), case))
    assert hashlib.sha256(b"".join(made)).hexdigest()[:16] == "bdab1ecab15a559e"


def test_a_decay_is_what_torch_leaves_of_moments_without_gradient() -> None:
    """Adam's moments of embedding rows that no batch touches, after 40 steps, to the last bit."""
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(64, 500))
    adam = torch.optim.AdamW([weight], betas=(0.9, 0.999))
    weight.grad = torch.randn(64, 500)
    adam.step()
    before = {k: adam.state[weight][k].clone() for k in ("exp_avg", "exp_avg_sq")}
    for _ in range(40):
        weight.grad = torch.zeros(64, 500)
        adam.step()
    kinds = {"exp_avg": (TOWARDS_ZERO, 1 - 0.9), "exp_avg_sq": (MULTIPLY, 0.999)}
    for name, (kind, factor) in kinds.items():
        plain = before[name].numpy().tobytes()
        case = Case(decay_params(kind, 40, factor), [plain], len(plain), DType.F32)
        after = adam.state[weight][name].numpy().tobytes()
        differing = np.frombuffer(prediction(DecayPredictor(), case), "<u4") != np.frombuffer(
            after, "<u4"
        )
        assert differing.mean() < 0.001


def test_a_decay_is_recognised_by_the_ratio_that_many_values_share() -> None:
    rng = np.random.default_rng(0)
    before = np.abs(rng.normal(0, 1e-4, 4000)).astype("<f4")
    after = before.copy()
    for _ in range(50):
        after *= np.float32(0.98)
    after[::2] += np.abs(rng.normal(0, 1e-4, 2000)).astype("<f4")
    assert decay_params(MULTIPLY, 50, 0.98) in decays_between(before, after)
    assert decays_between(before, rng.permutation(before)) == []
    assert decays_between(before, before) == []
    assert decays_between(np.zeros(0, "<f4"), np.zeros(0, "<f4")) == []
