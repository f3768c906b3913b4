"""Rows and columns that moved far more than the others of their tensor.

Levels are logarithms of how far a row moved, so that a factor counts the same at every size. What
is usual is their median, how much they spread the median absolute deviation times 1.4826, which
is a standard deviation where they are normal (Hampel 1974,
https://doi.org/10.1080/01621459.1974.10482962). Rows that did not move at all are left out:
words that the data of a fine-tune never had.

In a table of words by rank, what is usual of a row is the median of its neighbours in rank:
frequent words move more than rare ones.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

MIN_SIDE = 8
"""Rows or columns from which a spread is worth computing."""

NEIGHBOURS = 101
"""Rows of a table that say what is usual at a rank."""

_LEAST_SPREAD = 0.1
"""Levels spread by a tenth at least: rows that all moved alike are no reason to tell one apart."""

_LEAST_SHARE = 1e-6
"""Movement below this share of the largest row's counts as this much."""

_TO_DEVIATION = 1.4826
_CHUNK = 1 << 14

Levels = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Outlier:
    """One row or column: its number, robust z, and its share in the tensor's squared change."""

    index: int
    z: float
    share: float


def levels(energy: NDArray[np.float32]) -> Levels:
    """How far each row moved, as a logarithm; -inf where it did not.

    `energy`: (rows), squared change of each.
    """
    told = energy.astype(np.float64)
    largest = float(told.max(initial=0.0))
    if not largest:
        return np.full(told.size, -np.inf)
    with np.errstate(divide="ignore"):
        found: Levels = 0.5 * np.log(
            np.where(told > 0, np.maximum(told, _LEAST_SHARE * largest), 0)
        )
    return found


def usual_by_rank(found: Levels) -> Levels:
    """The median level of the neighbours of each row that moved; infinite where it has too few.

    The first rows that moved have neighbours on one side only, which moved less: they are the most
    frequent words, or none at all.
    """
    usual = np.full(found.size, np.inf)
    moved = np.flatnonzero(np.isfinite(found))
    half = NEIGHBOURS // 2
    if moved.size <= NEIGHBOURS:
        return usual
    padded = np.pad(found[moved], half, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, NEIGHBOURS)  # (moved, neighbours)
    for start in range(0, moved.size, _CHUNK):
        usual[moved[start : start + _CHUNK]] = np.median(windows[start : start + _CHUNK], axis=1)
    usual[moved[:half]] = np.inf
    return usual


def z_scores(found: Levels, usual: Levels | None = None) -> Levels:
    """Robust z of every row against `usual`, or the tensor's median; -inf if it did not move."""
    beside = found if usual is None else found - usual
    moved = beside[np.isfinite(beside)]
    if moved.size < MIN_SIDE:
        return np.full(found.size, -np.inf)
    middle = np.median(moved)
    spread = _TO_DEVIATION * float(np.median(np.abs(moved - middle)))
    scores: Levels = (beside - middle) / max(spread, _LEAST_SPREAD)
    return scores


def highest(scores: Levels) -> float | None:
    """The highest score above what the highest of as many normal ones is; None where none is known.

    That is the quantile that one of them exceeds on average: longer tables have higher maxima.
    """
    known = scores[np.isfinite(scores)]
    if not known.size:
        return None
    return float(known.max()) - NormalDist().inv_cdf(known.size / (known.size + 1))


def outliers(energy: NDArray[np.float32], scores: Levels, least: float, most: int) -> list[Outlier]:
    """The rows with a z of `least` or more, the highest first, `most` of them at most."""
    total = float(energy.sum(dtype=np.float64))
    order = np.argsort(scores)[::-1][:most]
    return [
        Outlier(int(at), float(scores[at]), float(energy[at]) / total)
        for at in order
        if scores[at] >= least
    ]
