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


@pytest.mark.parametrize("dtype", [DType.F16, DType.BF16, DType.F64], ids=lambda d: d.label)
@settings(deadline=None)
@given(before=FLOATS, seed=st.integers(0, 99))
def test_sums_of_other_widths_are_those_of_numpy(dtype: DType, before, seed) -> None:
    rng = np.random.default_rng(seed)
    after = np.where(rng.random(before.size) < 0.5, before, before * 2 + 1)
    x, y = (side.astype(KINDS[dtype]) for side in (before, after))
    found = compared(x, y, (dtype, dtype), step=50)
    a, b = x.astype(np.float64), y.astype(np.float64)
    kept = np.isfinite(a) & np.isfinite(b)
    a, b = a[kept], b[kept]
    assert found.not_finite == before.size - kept.sum()
    words = f"<u{dtype.block_bytes}"
    assert found.changed == np.count_nonzero(x.view(words) != y.view(words))
    assert found.norm_before == pytest.approx(np.linalg.norm(a), rel=1e-5)
    assert found.norm_difference == pytest.approx(np.linalg.norm(b - a), rel=1e-4, abs=1e-6)
    assert found.largest_difference == pytest.approx(np.abs(b - a).max(initial=0), rel=1e-6)


def test_long_runs_that_are_equal_differ_or_hold_a_nan_add_up() -> None:
    before = np.random.default_rng(0).standard_normal(50_000).astype(np.float32)
    after = before.copy()
    after[20_000:30_000] += 0.5
    after[25_000] = before[40_000] = np.nan
    found = compared(before, after, step=7000)
    kept = np.isfinite(before) & np.isfinite(after)
    a, b = before[kept].astype(np.float64), after[kept].astype(np.float64)
    assert (found.changed, found.not_finite) == (10_001, 2)
    assert found.norm_before == pytest.approx(np.linalg.norm(a), rel=1e-6)
    assert found.norm_after == pytest.approx(np.linalg.norm(b), rel=1e-6)
    assert found.norm_difference == pytest.approx(np.linalg.norm(b - a), rel=1e-6)
    assert found.cosine == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), rel=1e-6)


@pytest.mark.parametrize("size", [1e-30, 1e-42])
def test_values_too_small_for_their_squares_still_have_a_norm(size: float) -> None:
    before = np.full(5000, size, np.float32)
    found = compared(before, 3 * before)
    assert found.relative_change == pytest.approx(2.0)
    assert found.largest_difference == pytest.approx(2 * float(before[0]))


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


@pytest.mark.parametrize("columns", [[5, 85], [0, 80, 160, 240], [7, 8, 88, 6407]])
def test_columns_that_meet_in_the_sketch_still_count(columns: list[int]) -> None:
    rng = np.random.default_rng(6)
    before = rng.standard_normal((200, 7000)).astype(np.float32)
    after = before.copy()
    after[:, columns] += rng.standard_normal((200, len(columns))).astype(np.float32)
    found = compared(before, after, step=5000)
    assert found.rank is not None and found.rank.rank == len(columns)


@pytest.mark.parametrize("size", [1e-20, 1e30])
def test_a_rank_is_found_at_any_size(size: float) -> None:
    rng = np.random.default_rng(8)
    update = rng.standard_normal((300, 3)) @ rng.standard_normal((3, 200)) * size
    found = compared(np.zeros((300, 200), np.float32), update.astype(np.float32))
    assert found.rank is not None and found.rank.rank == 3


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
