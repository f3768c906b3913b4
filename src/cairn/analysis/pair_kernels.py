"""Compiled loops over two blocks of values side by side: sums of products, differences, changes.

Blocks are worked through in runs that stay in the L1 cache, several short passes over each: one
pass that does everything does not run in vector lanes. 16-bit floats become 32-bit ones run by
run, so they never lie in memory. A run whose bits are equal on both sides is not subtracted.

Sums are kept in the precision of the values within a run, in lanes (at least 8, so at most 256
additions follow each other), and in float64 between runs: sums of squares and products of float32
are off by at most 256 * 2^-24 = 1.5e-5 of the sum of the magnitudes, in practice by some 1e-7.
Sums that overflow or are close to underflow are done again in float64, value by value.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cairn.analysis.sketch_kernels import Sketch, add_to_sketch
from cairn.analysis.widening import HALF_EXPONENT_BITS, widen_brain, widen_half
from cairn.compiled import compiled

RUN_ELEMENTS = 2048
"""8 KiB of float32 from each side and their difference: three quarters of an L1 cache of 32 KiB."""

# Sums may run in vector lanes; NaN and infinities must survive, they send a run the slow way.
_IN_LANES = frozenset({"reassoc", "contract"})

_SMALLEST_SUM = 2.0**-100  # squares that underflow, 2^-149 each, are nothing beside this

BEFORE, AFTER, PRODUCT, DIFFERENCE = range(4)
"""Places in the sums: of squares of each side, of products, of squared differences."""

CHANGED, LEFT_OUT = range(2)
"""Places in the counts: of words that differ, of pairs that are not both finite."""

Array = NDArray[Any]
Sums = NDArray[np.float64]
Counts = NDArray[np.int64]


@compiled()
def count_different(before: Array, after: Array) -> int:
    """How many words differ; both sides are unsigned integers of one width."""
    found = 0
    for start in range(0, before.size, 128):  # a count of 128 fits a byte: as narrow as any word
        few = _few_different(before[start : start + 128], after[start : start + 128])
        found += int(np.int64(few))
    return found


@compiled()
def _few_different(before: Array, after: Array) -> Any:
    """How many words differ, counted in the width of the words: as many lanes as they have."""
    found = before.dtype.type(0)
    for at in range(before.size):
        found = before.dtype.type(found + before.dtype.type(before[at] != after[at]))
    return found


@compiled(_IN_LANES)
def _run_squares(values: Array) -> Any:
    squares = values[0] * 0
    for at in range(values.size):
        squares += values[at] * values[at]
    return squares


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
def _subtract(before: Array, after: Array, difference: Array, bits: Array) -> int:
    """Write the difference; returns the bits of its largest magnitude, where all are finite.

    `bits` is the memory of `difference` as signed integers: floats without a sign are in the
    order of their bits, and integers are compared in lanes.
    """
    for at in range(before.size):
        difference[at] = after[at] - before[at]
    unsigned = np.iinfo(bits.dtype).max
    most: int = bits[0] & unsigned
    for at in range(before.size):
        most = max(most, bits[at] & unsigned)
    return most


@compiled()
def _add_one_by_one(
    before: Array, after: Array, difference: Array, sums: Sums, counts: Counts
) -> float:
    """Add to the sums over pairs of finite values, in float64; returns the largest difference.

    Differences of other pairs are written as 0.
    """
    most = 0.0
    for at in range(before.size):
        a = np.float64(before[at])
        b = np.float64(after[at])
        difference[at] = 0
        if not (np.isfinite(a) and np.isfinite(b)):
            counts[LEFT_OUT] += 1
            continue
        difference[at] = b - a
        sums[BEFORE] += a * a
        sums[AFTER] += b * b
        sums[PRODUCT] += a * b
        sums[DIFFERENCE] += (b - a) * (b - a)
        most = max(most, abs(b - a))
    return most


@compiled()
def _add_equal(values: Array, difference: Array, sums: Sums, counts: Counts) -> None:
    """Add a run that is the same on both sides."""
    squares = np.float64(_run_squares(values))
    if np.isfinite(squares) and squares >= _SMALLEST_SUM:
        sums[BEFORE] += squares
        sums[AFTER] += squares
        sums[PRODUCT] += squares
    else:
        _add_one_by_one(values, values, difference, sums, counts)


@compiled()
def _add_unequal(
    before: Array,
    after: Array,
    difference: Array,
    bits: Array,
    first: int,
    sums: Sums,
    counts: Counts,
    sketch: Sketch,
) -> float:
    """Add a run that differs somewhere; returns its largest difference."""
    found = _run_sums(before, after)
    least = np.float64(min(found[BEFORE], found[AFTER], found[DIFFERENCE]))
    total = np.float64(found[BEFORE]) + np.float64(found[AFTER]) + np.float64(found[DIFFERENCE])
    if np.isfinite(total) and least >= _SMALLEST_SUM:
        for at in range(4):
            sums[at] += found[at]
        bits[0] = _subtract(before, after, difference, bits)
        most: float = np.float64(difference[0])
        difference[0] = after[0] - before[0]
    else:
        most = _add_one_by_one(before, after, difference, sums, counts)
    add_to_sketch(difference[: before.size], first, sketch)
    return most


@compiled()
def add_floats(
    sides: tuple[Array, Array],
    words: tuple[Array, Array],
    first: int,
    scratch: Array,
    bits: Array,
    sums: Sums,
    counts: Counts,
    sketch: Sketch,
) -> float:
    """Add a block of floats of both sides, `words` the same memory as unsigned integers.

    `first` is the place of the block in the tensor. `scratch` has three rows of `RUN_ELEMENTS`
    values, `bits` is the last of them as signed integers. Returns the largest difference.
    """
    most = 0.0
    for start in range(0, sides[0].size, RUN_ELEMENTS):
        stop = start + RUN_ELEMENTS
        before = sides[0][start:stop]
        after = sides[1][start:stop]
        changed = count_different(words[0][start:stop], words[1][start:stop])
        if changed:
            counts[CHANGED] += changed
            more = _add_unequal(
                before, after, scratch[2], bits, first + start, sums, counts, sketch
            )
            most = max(most, more)
        else:
            _add_equal(before, scratch[2], sums, counts)
    return most


@compiled()
def add_narrow(
    words: tuple[Array, Array],
    exponent_bits: int,
    first: int,
    scratch: Array,
    bits: Array,
    sums: Sums,
    counts: Counts,
    sketch: Sketch,
) -> float:
    """Add a block of 16-bit floats of both sides, IEEE halves or BF16; see `add_floats`."""
    most = 0.0
    for start in range(0, words[0].size, RUN_ELEMENTS):
        first_words = words[0][start : start + RUN_ELEMENTS]
        second_words = words[1][start : start + RUN_ELEMENTS]
        before = scratch[0][: first_words.size]
        after = scratch[1][: first_words.size]
        changed = count_different(first_words, second_words)
        _widen(first_words, exponent_bits, before)
        if changed:
            counts[CHANGED] += changed
            _widen(second_words, exponent_bits, after)
            more = _add_unequal(
                before, after, scratch[2], bits, first + start, sums, counts, sketch
            )
            most = max(most, more)
        else:
            _add_equal(before, scratch[2], sums, counts)
    return most


@compiled()
def _widen(words: Array, exponent_bits: int, values: Array) -> None:
    if exponent_bits == HALF_EXPONENT_BITS:
        widen_half(words, values)
    else:
        widen_brain(words, values)
