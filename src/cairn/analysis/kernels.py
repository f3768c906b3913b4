"""Compiled loops over blocks of values: counts, moments, zero rows, distinct values.

Each is given plain arrays and changes its state arrays in place; `statistics` says what the
numbers mean. Blocks are worked through in runs that stay in the L1 cache, because several
passes over such a run cost less than one pass that does everything.
"""

import numpy as np
from numpy.typing import NDArray

from cairn.compiled import REASSOCIATE, compiled

RUN_ELEMENTS = 2048
"""16 KiB of doubles: half an L1 cache of 32 KiB."""

SUB_BINS = 8
"""Bins per octave: three bits of the mantissa."""

COUNT, MEAN, SQUARES = range(3)
"""Places in the moments: values so far, their mean, the sum of squared deviations from it."""

LEAST, MOST = range(2)
"""Places in the extremes of the bits of floats."""

PLUS_ZEROS, MINUS_ZEROS, PLUS_INFINITIES, MINUS_INFINITIES = range(4)
"""Places in the counts."""

DISTINCT_CAP = 4096
"""Distinct words are counted up to this number.

Enough for every palette and quantisation grid; its hash set stays in the L1 or L2 cache.
"""

HASH_PLACES = 2 * DISTINCT_CAP
_HASH_SHIFT = np.uint64(64 - HASH_PLACES.bit_length() + 1)

Array = NDArray[np.generic]


@compiled()
def count_codes(codes: Array, counts: NDArray[np.uint32]) -> None:
    """Add to `counts` how often each code occurs; codes are unsigned and index it."""
    for at in range(codes.size):
        counts[codes[at]] += np.uint32(1)


@compiled()
def _count_bins(bits: Array, shift: int, bins: NDArray[np.int64]) -> None:
    for at in range(bits.size):
        bins[bits[at] >> shift] += 1


@compiled(REASSOCIATE)
def _sum(values: Array) -> float:
    total = 0.0
    for at in range(values.size):
        total += np.float64(values[at])
    return total


@compiled(REASSOCIATE)
def _squares(values: Array, mean: float) -> float:
    total = 0.0
    for at in range(values.size):
        off = np.float64(values[at]) - mean
        total += off * off
    return total


@compiled()
def _extremes(signed: Array, unsigned: Array) -> tuple[int, int, int]:
    """Extremes of the bits as integers, which take a quarter of the time of those as floats.

    As signed integers positive floats are in order, so the most is the maximum; as unsigned
    ones negative floats are in reverse order above all others, so the most is the minimum.
    Where there is no float of that sign, the least of the signed ones is nearest to it.
    """
    least = signed[0]
    most = signed[0]
    most_unsigned = unsigned[0]
    for at in range(signed.size):
        least = min(least, signed[at])
        most = max(most, signed[at])
        most_unsigned = max(most_unsigned, unsigned[at])
    return least, most, most_unsigned


@compiled()
def _merge(moments: NDArray[np.float64], count: int, mean: float, squares: float) -> None:
    """Chan, Golub and LeVeque's update (https://doi.org/10.1080/00031305.1983.10483115)."""
    before = moments[COUNT]
    both = before + count
    apart = mean - moments[MEAN]
    moments[COUNT] = both
    moments[MEAN] += apart * (count / both)
    moments[SQUARES] += squares + apart * apart * (before * count / both)


@compiled()
def _edges(bins: NDArray[np.int64]) -> tuple[int, int]:
    """Counts in the bins that hold the zeros, and in those of infinities and NaN."""
    half = bins.size // 2
    special = 0
    for at in range(half - SUB_BINS, half):
        special += bins[at] + bins[at + half]
    return bins[0] + bins[half], special


@compiled()
def _add_among_special(
    values: Array,
    bits: tuple[Array, Array],
    moments: NDArray[np.float64],
    extremes: tuple[Array, Array],
    counts: NDArray[np.int64],
) -> None:
    """Take in a run in which there are infinities or NaN."""
    for at in range(values.size):
        value = values[at]
        if value == np.inf:
            counts[PLUS_INFINITIES] += 1
        elif value == -np.inf:
            counts[MINUS_INFINITIES] += 1
        elif value == value:
            _merge(moments, 1, np.float64(value), 0.0)
            extremes[0][LEAST] = min(extremes[0][LEAST], bits[0][at])
            extremes[0][MOST] = max(extremes[0][MOST], bits[0][at])
            extremes[1][0] = max(extremes[1][0], bits[1][at])


@compiled()
def add_floats(
    values: Array,
    bits: tuple[Array, Array],
    shift: int,
    bins: NDArray[np.int64],
    moments: NDArray[np.float64],
    extremes: tuple[Array, Array],
    counts: NDArray[np.int64],
) -> None:
    """Take in a block of floats, given also as integers of the same width, signed and unsigned.

    `shift` leaves of the unsigned ones sign, exponent and three bits of mantissa, which index
    `bins`. `extremes` are two arrays of the integer types: least and most, most unsigned.
    """
    for start in range(0, values.size, RUN_ELEMENTS):
        run = values[start : start + RUN_ELEMENTS]
        signed = bits[0][start : start + RUN_ELEMENTS]
        unsigned = bits[1][start : start + RUN_ELEMENTS]
        zeros_before, special_before = _edges(bins)
        _count_bins(unsigned, shift, bins)
        zeros, special = _edges(bins)
        if zeros != zeros_before:
            for at in range(run.size):
                counts[PLUS_ZEROS] += unsigned[at] == 0
                counts[MINUS_ZEROS] += (run[at] == 0) & (unsigned[at] != 0)
        if special != special_before:
            _add_among_special(run, (signed, unsigned), moments, extremes, counts)
            continue
        mean = _sum(run) / run.size
        _merge(moments, run.size, mean, _squares(run, mean))
        least, most, most_unsigned = _extremes(signed, unsigned)
        extremes[0][LEAST] = min(extremes[0][LEAST], least)
        extremes[0][MOST] = max(extremes[0][MOST], most)
        extremes[1][0] = max(extremes[1][0], most_unsigned)


@compiled()
def count_dead_rows(words: Array, mask: int, row_words: int, state: NDArray[np.int64]) -> None:
    """Count rows in which no word has a bit of `mask`; `row_words` words make a row.

    `state` carries over from block to block: dead rows, words of the row in hand, 1 if it lives.
    """
    dead, seen, alive = state[0], state[1], state[2]
    at = 0
    while at < words.size:
        stop = min(words.size, at + row_words - seen)
        seen += stop - at
        while not alive and at < stop:
            alive = (words[at] & mask) != 0
            at += 1
        at = stop
        if seen == row_words:
            dead += not alive
            seen = 0
            alive = 0
    state[0], state[1], state[2] = dead, seen, alive


@compiled()
def add_distinct(words: Array, magnitude: int, largest: int, keys: Array, count: int) -> int:
    """Put words into a hash set until it holds more than `DISTINCT_CAP`; returns how many it has.

    Left out are zeros of either sign, because 0 marks a free place, and NaN: words whose bits
    in `magnitude` are 0 or exceed `largest`. `keys` has `HASH_PLACES` places.
    """
    for at in range(words.size):
        if count > DISTINCT_CAP:
            break
        word = words[at]
        size = word & magnitude
        if size == 0 or size > largest:
            continue
        # Knuth's multiplicative hashing: the golden ratio's bits times the word, top bits taken.
        place = np.int64((np.uint64(word) * np.uint64(0x9E3779B97F4A7C15)) >> _HASH_SHIFT)
        while keys[place] != 0 and keys[place] != word:
            place = (place + 1) % HASH_PLACES
        if keys[place] == 0:
            keys[place] = word
            count += 1
    return count
