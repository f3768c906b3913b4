"""Bins of floats by sign, exponent and the top three bits of the mantissa, and what they tell.

Such bins are fixed: they need no pass before to find the range, and those of two blocks add up.
Their index is the top of the float's bits (1 + 8 + 3 of a single, 1 + 11 + 3 of a double), so
the second half holds the negative numbers, and the first bins of a half the smallest.
"""

import numpy as np
from numpy.typing import NDArray

from cairn.analysis.kernels import SUB_BINS
from cairn.domain.statistics import Histogram, Octave

LINEAR_BINS = 40
SIGMAS = 4
"""Standard deviations around the mean that the linear histogram shows."""

_SUB_BITS = SUB_BINS.bit_length() - 1
_BINS, _WIDE_BINS = 1 << 12, 1 << 15

Bins = NDArray[np.int64]


def empty_bins(item_bytes: int) -> Bins:
    """Bins of zeros for floats of this width."""
    return np.zeros(_WIDE_BINS if item_bytes == 8 else _BINS, np.int64)


def bin_shift(item_bytes: int) -> int:
    """How far a float's bits are shifted right to get the index of its bin."""
    return 49 if item_bytes == 8 else 20


def weighted_bins(values: NDArray[np.float32], counts: NDArray[np.int64]) -> Bins:
    """Bins of numbers that occur so many times."""
    bins = empty_bins(4)
    np.add.at(bins, values.view(np.uint32) >> bin_shift(4), counts)
    return bins


def take_out_zeros(bins: Bins, positive: int, negative: int) -> None:
    """Leave only numbers that have a magnitude; the functions below want them so."""
    bins[0] -= positive
    bins[bins.size // 2] -= negative


def subnormals(bins: Bins) -> int:
    """How many numbers there are of less than full precision."""
    return int(bins.reshape(2, -1)[:, :SUB_BINS].sum())


def specials(bins: Bins) -> int:
    """How many infinities and NaN there are."""
    return int(bins.reshape(2, -1)[:, -SUB_BINS:].sum())


def octaves(bins: Bins) -> tuple[Octave, ...]:
    """The finite numbers by exponent; only exponents that occur."""
    positive, negative = bins.reshape(2, -1, SUB_BINS).sum(axis=2)[:, :-1]  # (exponents,) each
    return tuple(
        Octave(int(at) - _bias(bins), int(negative[at]), int(positive[at]))
        for at in np.flatnonzero(positive + negative)
    )


def around_mean(
    bins: Bins, zeros: int, minimum: float, maximum: float, mean: float, std: float
) -> Histogram | None:
    """Equal bins over `SIGMAS` deviations around the mean, and no further than the extremes."""
    low, high = max(minimum, mean - SIGMAS * std), min(maximum, mean + SIGMAS * std)
    return linear(bins, zeros, float(low), float(high))


def linear(bins: Bins, zeros: int, low: float, high: float) -> Histogram | None:
    """Equal bins from `low` to `high`; within one of `bins` numbers count as evenly spread."""
    if not low <= high or not np.isfinite(high - low):
        return None
    edges, counts = _in_order(bins)
    if low == high:
        return Histogram(low, high, (int(counts.sum()) + zeros,))
    wanted = np.linspace(low, high, LINEAR_BINS + 1)
    reached = _counted_to(wanted, edges, counts)
    whole = np.rint(reached).astype(np.int64)
    found, below, above = np.diff(whole), int(whole[0]), int(counts.sum() - whole[-1])
    if low > 0:
        below += zeros
    elif high < 0:
        above += zeros
    else:
        found[min(LINEAR_BINS - 1, int(np.searchsorted(wanted, 0, "right")) - 1)] += zeros
    return Histogram(low, high, tuple(found.tolist()), below, above)


def _counted_to(
    places: NDArray[np.float64], edges: NDArray[np.float64], counts: Bins
) -> NDArray[np.float64]:
    """How many numbers lie below each place, those of a bin being evenly spread.

    Not `numpy.interp`: a count over the width of a subnormal bin is beyond what doubles hold.
    """
    at = np.clip(np.searchsorted(edges, places, "right") - 1, 0, counts.size - 1)
    shares = np.clip((places - edges[at]) / (edges[at + 1] - edges[at]), 0, 1)
    found: NDArray[np.float64] = np.concatenate(([0], np.cumsum(counts)))[at] + shares * counts[at]
    return found


def _in_order(bins: Bins) -> tuple[NDArray[np.float64], Bins]:
    """Edges of the finite bins in the order of numbers, and the counts between them."""
    positive, negative = bins.reshape(2, -1)[:, :-SUB_BINS]
    at = np.arange(positive.size + 1)
    exponent = at >> _SUB_BITS
    eighths = (at & SUB_BINS - 1) + np.where(exponent > 0, SUB_BINS, 0)
    with np.errstate(over="ignore"):
        steps = np.ldexp(eighths / SUB_BINS, np.maximum(exponent, 1) - _bias(bins))
    steps = np.minimum(steps, np.finfo(np.float64).max)
    return np.concatenate((-steps[:0:-1], steps)), np.concatenate((negative[::-1], positive))


def _bias(bins: Bins) -> int:
    return 1023 if bins.size == _WIDE_BINS else 127
