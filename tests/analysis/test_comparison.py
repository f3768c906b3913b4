"""Comparison of two tensors: sums against NumPy, ranks against updates of known rank."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cairn.analysis.comparison import Comparison, PairComparison, comparable
from cairn.domain import DType

KINDS = {DType.F32: "<f4", DType.F16: "<f2", DType.BF16: ml_dtypes.bfloat16, DType.F64: "<f8"}


def compared(
    before: np.ndarray,
    after: np.ndarray,
    dtypes: tuple[DType, DType] = (DType.F32, DType.F32),
    step: int = 1000,
) -> Comparison:
    pair = PairComparison(before.shape, *dtypes)
    a, b = before.reshape(-1), after.reshape(-1)
    for at in range(0, a.size, step):
        x, y = a[at : at + step], b[at : at + step]
        pair.add(x.tobytes(), y.tobytes(), x.size)
    return pair.result()


FLOATS = arrays.arrays(
    np.float32,
    st.integers(1, 200),
    elements=st.floats(-1000, 1000, width=32) | st.sampled_from([np.nan, np.inf, 0.0, -0.0]),
)


@settings(deadline=None)
@given(before=FLOATS, seed=st.integers(0, 99), step=st.integers(1, 64))
def test_sums_are_those_of_numpy_over_finite_pairs(before, seed, step) -> None:
    rng = np.random.default_rng(seed)
    after = np.where(rng.random(before.size) < 0.5, before, before * 2 + 1).astype(np.float32)
    found = compared(before, after, step=step)
    kept = np.isfinite(before) & np.isfinite(after)
    a, b = before[kept].astype(np.float64), after[kept].astype(np.float64)
    assert found.not_finite == before.size - kept.sum()
    assert found.changed == np.count_nonzero(before.view("<u4") != after.view("<u4"))
    assert found.norm_before == pytest.approx(np.linalg.norm(a), rel=1e-5)
    assert found.norm_after == pytest.approx(np.linalg.norm(b), rel=1e-5)
    assert found.norm_difference == pytest.approx(np.linalg.norm(b - a), rel=1e-4, abs=1e-6)
    assert found.largest_difference == pytest.approx(np.abs(b - a).max(initial=0), rel=1e-6)


def test_values_too_large_for_their_squares_still_have_a_norm() -> None:
    before = np.full(10, 1e30, np.float32)
    found = compared(before, 2 * before)
    assert found.relative_change == pytest.approx(1.0)
    assert found.cosine == pytest.approx(1.0)


@pytest.mark.parametrize("after", [DType.BF16, DType.F16])
def test_a_cast_is_told_from_a_change(after: DType) -> None:
    before = np.random.default_rng(0).standard_normal((40, 50)).astype(np.float32)
    rounded = before.astype(KINDS[after])
    assert compared(before, rounded, (DType.F32, after)).cast
    touched = rounded.copy()
    touched[3, 4] += 1
    found = compared(before, touched, (DType.F32, after))
    assert not found.cast
    assert found.rank is not None and found.rank.rank != 0


def test_widening_changes_no_value() -> None:
    before = np.arange(100, dtype=np.float32).astype(ml_dtypes.bfloat16)
    found = compared(before, before.astype(np.float32), (DType.BF16, DType.F32))
    assert found.cast and found.equal and found.relative_change == 0.0


def test_equal_tensors_are_equal() -> None:
    zeros = np.zeros((20, 20), np.float32)
    found = compared(zeros, zeros)
    assert found.equal and found.relative_change == 0.0 and found.cosine is None
    assert found.rank is None


def test_a_change_from_nothing_has_no_relative_size() -> None:
    found = compared(np.zeros(5, np.float32), np.ones(5, np.float32))
    assert found.relative_change is None and found.changed_fraction == 1.0


def merged(dtype: DType, shape: tuple[int, int], rank: int, size: float, seed: int) -> Comparison:
    """A weight and itself with an update of this rank and relative size merged into it."""
    rng = np.random.default_rng(seed)
    weight = (rng.standard_normal(shape) * 0.05).astype(KINDS[dtype]).astype(np.float32)
    if rank:
        update = rng.standard_normal((shape[0], rank)) @ rng.standard_normal((rank, shape[1]))
    else:
        update = rng.standard_normal(shape)
    update *= size * np.linalg.norm(weight) / np.linalg.norm(update)
    after = (weight + update).astype(KINDS[dtype])
    return compared(weight.astype(KINDS[dtype]), after, (dtype, dtype), step=4096)


@pytest.mark.parametrize("dtype", [DType.F32, DType.F16, DType.BF16], ids=lambda d: d.label)
@pytest.mark.parametrize("shape", [(96, 96), (1024, 300), (200, 900)])
@pytest.mark.parametrize("rank", [1, 4, 8, 16])
def test_the_rank_of_a_merged_update_is_found(dtype, shape, rank) -> None:
    found = merged(dtype, shape, rank, size=0.05, seed=rank)
    assert found.rank is not None and found.rank.rank == rank


@pytest.mark.parametrize("dtype", [DType.F32, DType.F16, DType.BF16], ids=lambda d: d.label)
@pytest.mark.parametrize("size", [0.1, 0.01, 0.003])
def test_a_full_update_is_never_called_low_rank(dtype, size) -> None:
    for seed, shape in enumerate([(96, 96), (1024, 300), (200, 900)]):
        found = merged(dtype, shape, 0, size, seed)
        assert found.rank is not None and found.rank.rank is None


def test_an_update_of_single_rows_is_not_called_low_rank() -> None:
    rng = np.random.default_rng(4)
    before = rng.standard_normal((600, 64)).astype(np.float32)
    after = before.copy()
    after[[0, 100, 300]] += rng.standard_normal((3, 64)).astype(np.float32)
    found = compared(before, after)
    assert found.rank is not None and found.rank.rank is None


def test_packed_and_quantised_types() -> None:
    raw = np.arange(10, dtype=np.uint8)
    pair = PairComparison((20,), DType.U4, DType.U4)
    other = raw.copy()
    other[3] ^= 0x10
    pair.add(raw.tobytes(), other.tobytes(), 20)
    assert pair.result().changed == 1
    assert comparable(DType.F32, DType.F8_E4M3)


def test_complex_numbers_count_once() -> None:
    before = np.ones(8, np.complex128)
    after = before.copy()
    after[2] += 1 + 1j
    assert compared(before, after, (DType.C128, DType.C128)).changed == 1
