"""Compiled loops over two blocks of values side by side: sums of products, differences, changes.

Blocks are worked through in runs that stay in the L1 cache. Sums are kept in the precision of the
values within a run and in float64 between runs.
"""

import numpy as np
from numpy.typing import NDArray

from cairn.analysis.compiled import compiled

RUN_ELEMENTS = 2048
"""8 KiB of floats from each side: together half an L1 cache of 32 KiB."""

# Sums may run in vector lanes; NaN and infinities must survive, they send a run the slow way.
_IN_LANES = frozenset({"reassoc", "contract"})

BEFORE, AFTER, PRODUCT, DIFFERENCE, MOST = range(5)
"""Places in the sums: of squares of each side, of products, of squared differences; and the
largest absolute difference."""

Array = NDArray[np.generic]


@compiled()
def count_different(before: Array, after: Array) -> int:
    """How many words differ; both sides are unsigned integers of one width."""
    found = 0
    for at in range(before.size):
        found += before[at] != after[at]
    return found


@compiled(_IN_LANES)
def _run_sums(before: Array, after: Array) -> tuple[float, float, float, float]:
    squares_before = before[0] * 0
    squares_after = squares_before
    products = squares_before
    differences = squares_before
    for at in range(before.size):
        a = before[at]
        b = after[at]
        d = b - a
        squares_before += a * a
        squares_after += b * b
        products += a * b
        differences += d * d
    return squares_before, squares_after, products, differences


@compiled()
def _run_most(before: Array, after: Array) -> float:
    """The largest absolute difference where all values are finite."""
    most = 0.0
    for at in range(before.size):
        most = max(most, np.float64(abs(after[at] - before[at])))
    return most


@compiled()
def _finite_sums(before: Array, after: Array, sums: NDArray[np.float64]) -> int:
    """The sums over pairs of finite values; returns how many pairs were left out."""
    left_out = 0
    for at in range(before.size):
        a = np.float64(before[at])
        b = np.float64(after[at])
        if not (np.isfinite(a) and np.isfinite(b)):
            left_out += 1
            continue
        sums[0] += a * a
        sums[1] += b * b
        sums[2] += a * b
        sums[3] += (b - a) * (b - a)
        sums[4] = max(sums[4], abs(b - a))
    return left_out


@compiled()
def add_sums(before: Array, after: Array, sums: NDArray[np.float64]) -> int:
    """Add to the sums, raise the largest difference; returns how many pairs were left out.

    Pairs are left out in which a value is not finite.
    """
    left_out = 0
    for start in range(0, before.size, RUN_ELEMENTS):
        a = before[start : start + RUN_ELEMENTS]
        b = after[start : start + RUN_ELEMENTS]
        found = _run_sums(a, b)
        # A sum that overflowed float32, too, is done again in float64.
        if np.isfinite(np.float64(found[0]) + np.float64(found[1]) + np.float64(found[3])):
            sums[0] += found[0]
            sums[1] += found[1]
            sums[2] += found[2]
            sums[3] += found[3]
            sums[4] = max(sums[4], _run_most(a, b))
        else:
            left_out += _finite_sums(a, b, sums)
    return left_out
