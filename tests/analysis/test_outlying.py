"""Rows that moved far more than the others, and directions that stand out."""

import numpy as np
import pytest

from cairn.analysis.chance import Scale, chance_of
from cairn.analysis.concentration import DIRECTIONS, EXACT_SIDE, leading_shares
from cairn.analysis.evidence import concentration, is_low_rank, lead
from cairn.analysis.outlying import levels, outliers, usual_by_rank, z_scores
from cairn.analysis.update_profile import Update, UpdateProfile


def update_of(before: np.ndarray, after: np.ndarray, run: int = 1000) -> Update:
    profile = UpdateProfile(before.shape)
    a, b = before.reshape(-1), after.reshape(-1)
    for start in range(0, a.size, run):
        profile.add(a[start : start + run], b[start : start + run])
    return profile.result()


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_an_update_is_what_numpy_says_however_it_is_cut() -> None:
    before, change = noise((37, 3, 5)), noise((37, 3, 5), 1) * 0.01
    change[4] = 0
    after = before + change
    exact = after.astype(np.float64) - before
    for run in (1, 7, 1000):
        found = update_of(before, after, run)
        assert found.elements == exact.size and found.changed == np.count_nonzero(exact)
        assert found.norm_change == pytest.approx(np.linalg.norm(exact), rel=1e-12)
        assert found.norm_before == pytest.approx(np.linalg.norm(before), rel=1e-6)
        rows = (exact.reshape(37, 15) ** 2).sum(1)
        assert found.rows == pytest.approx(rows / rows.max(), rel=1e-6)
        columns = (exact.reshape(37, 15) ** 2).sum(0)
        assert found.columns == pytest.approx(columns / columns.max(), rel=1e-6)
        singular = np.linalg.svd(exact.reshape(37, 15), compute_uv=False) ** 2
        assert found.shares == pytest.approx(singular[:DIRECTIONS] / singular.sum(), abs=1e-5)


def test_values_that_are_not_finite_are_counted_and_left_out() -> None:
    before, after = noise((20, 20)), noise((20, 20)) + np.float32(0.1)
    after[3, 3], before[4, 4] = np.nan, np.inf
    found = update_of(before, after)
    assert found.left_out == 2
    assert np.isfinite(found.norm_change) and np.isfinite(found.rows).all()


def test_doubles_beside_floats_and_vectors_and_scalars() -> None:
    before = noise((9,))
    found = update_of(before.astype(np.float64), before * np.float32(2))
    assert found.relative == pytest.approx(1.0, rel=1e-6)
    assert found.rows.size == 9 and found.columns.size == 0 and found.shares == ()
    scalar = UpdateProfile(())
    scalar.add(np.ones(1, np.float32), np.full(1, 3, np.float32))
    assert scalar.result().relative == 2.0 and scalar.result().rows.size == 0


def test_a_large_matrix_is_sampled_by_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cairn.analysis.update_profile.MAX_KEPT_BYTES", 64 * 40 * 4)
    direction = np.outer(noise((400,)), noise((40,), 1))
    found = update_of(np.zeros((400, 40), np.float32), direction.astype(np.float32))
    assert found.seen_rows == 58  # every seventh
    assert found.shares[0] == pytest.approx(1.0, abs=1e-5)
    assert found.rows.size == 400


@pytest.mark.parametrize("strength", [0.0, 1.0, 3.0])
def test_shares_of_a_wide_matrix_are_close_to_the_exact_ones(strength: float) -> None:
    shape = (3 * EXACT_SIDE, 2 * EXACT_SIDE)
    spike = np.outer(noise(shape[:1], 2), noise(shape[1:], 3)) / 16
    matrix = (noise(shape) + strength * spike).astype(np.float32)
    exact = np.linalg.svd(matrix.astype(np.float64), compute_uv=False) ** 2
    exact /= exact.sum()
    for turned in (matrix, np.ascontiguousarray(matrix.T)):
        found = leading_shares(turned)
        assert len(found) == DIRECTIONS
        assert found[0] <= exact[0] * 1.0001
        assert found[0] == pytest.approx(exact[0], abs=0.01)


def test_zeros_have_no_directions() -> None:
    assert leading_shares(np.zeros((9, 9), np.float32)) == ()


def test_a_row_that_moved_ten_times_as_far_stands_out_and_others_do_not() -> None:
    change = noise((200, 64)) * 0.01
    change[17] *= 10
    energy = (change.astype(np.float64) ** 2).sum(1).astype(np.float32)
    scores = z_scores(levels(energy))
    found = outliers(energy, scores, 6.0, 5)
    assert [one.index for one in found] == [17]
    assert found[0].share == pytest.approx(energy[17] / energy.sum(), rel=1e-5)
    assert not outliers(energy[:17], z_scores(levels(energy[:17])), 6.0, 5)


def test_rare_words_are_judged_among_rare_words_and_still_rows_by_none() -> None:
    rank = np.arange(3000)
    moved = np.exp(np.random.default_rng(0).normal(0, 0.3, 3000)) / (rank + 10)
    moved[2500] = moved[60]  # no more than a frequent word, far more than a rare one
    moved[rank % 3 == 0] = 0
    energy = (moved**2).astype(np.float32)
    own = levels(energy)
    by_rank = outliers(energy, z_scores(own, usual_by_rank(own)), 6.0, 5)
    assert [one.index for one in by_rank] == [2500]
    assert 2500 not in [one.index for one in outliers(energy, z_scores(own), 4.0, 99)]
    assert np.isneginf(own[::3]).all()


def test_concentration_is_the_mean_lead_of_dense_matrices() -> None:
    def spiked(shape: tuple[int, ...], strength: float) -> Update:
        spike = np.outer(noise(shape[:1], 5), noise(shape[1:], 6)) * strength
        change = (noise(shape, 4) + spike).astype(np.float32)
        return update_of(np.zeros(shape, np.float32), change)

    plain, loud = spiked((64, 48), 0.0), spiked((64, 48), 1.0)
    assert lead(loud) > lead(plain) + 2  # type: ignore[operator]
    assert concentration([plain, loud]) == pytest.approx((lead(plain) + lead(loud)) / 2)  # type: ignore[operator]
    small = spiked((4, 48), 1.0)
    assert lead(small) is None and concentration([small]) is None
    assert not is_low_rank(plain) and not is_low_rank(loud)
    assert is_low_rank(
        update_of(np.zeros((64, 48), np.float32), np.outer(noise((64,)), noise((48,))))
    )


def test_a_chance_is_never_less_than_the_number_of_models_allows() -> None:
    assert chance_of(5.0, [1.0, 2.0, 3.0]).value == 1 / 4
    assert chance_of(2.0, [1.0, 2.0, 3.0]).value == 3 / 4  # as high counts
    assert chance_of(0.0, [1.0, 2.0, 3.0]).value == 1
    assert Scale(1.0, 3.0).of(2.0) == 0.5
