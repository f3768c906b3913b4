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

BEFORE, AFTER, PRODUCT, DIFFERENCE = range(4)
"""Places in the sums: of squares of each side, of products, of squared differences."""

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
def _run_most(before: Array, after: Array, scratch: Array, bits: Array) -> int:
    """The bits of the largest absolute difference, where all are finite.

    Floats without a sign are in the order of their bits, and integers are compared in lanes.
    """
    for at in range(before.size):
        scratch[at] = abs(after[at] - before[at])
    most: int = bits[0]
    for at in range(before.size):
        most = max(most, bits[at])
    return most


@compiled()
def _finite_sums(before: Array, after: Array, sums: NDArray[np.float64]) -> tuple[int, float]:
    """Add to the sums over pairs of finite values; how many were left out, and the largest."""
    left_out = 0
    most = 0.0
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
        most = max(most, abs(b - a))
    return left_out, most


@compiled()
def add_sums(
    before: Array, after: Array, scratch: Array, bits: Array, sums: NDArray[np.float64]
) -> tuple[int, int, float]:
    """Add to the sums over pairs of finite values.

    `scratch` holds `RUN_ELEMENTS` values of the type of the blocks, `bits` is the same memory as
    signed integers. Returns how many pairs were left out, and the largest absolute difference:
    as the bits of one of the values, and as a number for runs that hold what is not finite.
    """
    left_out = 0
    most_bits = bits[0] * 0
    most = 0.0
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
            if found[3] > 0:
                most_bits = max(most_bits, _run_most(a, b, scratch, bits))
        else:
            more, larger = _finite_sums(a, b, sums)
            left_out += more
            most = max(most, larger)
    return left_out, most_bits, most
