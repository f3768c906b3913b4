"""The loops between values, their predictions, and the differences that are stored.

A float's bits become an integer that orders as the float does (the magnitude bits of a
negative one are flipped), so that near values give small differences, counted in units of
the last place. A difference is taken away from zero or towards it, by the prediction's sign:
weights that shrink then differ from weights that grow. All arithmetic wraps, so every pair
of bit patterns has a difference and comes back from it.

`low` has the magnitude bits of the type for floats and zero for integers. Arrays are
contiguous, signed, of the type's width, and equally long.

Sorting by exponent is bound by the wait for the counter that the element before has just
written: so both halves of a part are walked at once, each with counters of its own. More
lanes run out of registers and are slower. There everything is unsigned, which spares numba
the question whether an index counts from the end.
"""

from typing import Any

import numpy as np

from cairn.compiled import compiled

Array = np.ndarray[Any, Any]


@compiled()
def differences(values: Array, predicted: Array, low: Any, out: Array) -> None:
    """How far each value lies beyond its prediction."""  # (n,)
    zero = low ^ low
    for i in range(values.size):
        value, guess = values[i], predicted[i]
        ordered = value ^ (low if value < 0 else zero)
        ordered_guess = guess ^ (low if guess < 0 else zero)
        out[i] = ordered_guess - ordered if guess < 0 else ordered - ordered_guess


@compiled()
def restore(beyond: Array, values: Array, low: Any) -> None:
    """The inverse of `differences`; `values` holds the predictions before."""  # (n,)
    zero = low ^ low
    for i in range(beyond.size):
        guess = values[i]
        ordered = guess ^ (low if guess < 0 else zero)
        values[i] = ordered - beyond[i] if guess < 0 else ordered + beyond[i]  # wraps here
        value = values[i]
        values[i] = value ^ (low if value < 0 else zero)


@compiled()
def fold(beyond: Array, signs: int) -> None:
    """Signed integers, by size and sign: 0, -1, 1, -2, ... to 0, 1, 2, 3, ..."""  # (n,)
    for i in range(beyond.size):
        beyond[i] = (beyond[i] << 1) ^ (beyond[i] >> signs)


@compiled()
def restore_folded(folded: Array, values: Array, low: Any) -> None:
    """`restore` of what `fold` made; `folded` is unsigned, so that the shift brings in a zero."""
    zero = low ^ low  # (n,)
    for i in range(folded.size):
        beyond = (folded[i] >> 1) ^ -(folded[i] & 1)
        guess = values[i]
        ordered = guess ^ (low if guess < 0 else zero)
        values[i] = ordered - beyond if guess < 0 else ordered + beyond  # wraps here
        value = values[i]
        values[i] = value ^ (low if value < 0 else zero)


@compiled()
def restore_planes_2(first: Array, last: Array, values: Array, low: Any) -> None:
    """`restore` of folded differences in byte planes, lowest byte first, of two bytes."""  # (n,)
    zero = low ^ low
    for i in range(values.size):
        folded = np.uint32(first[i]) | np.uint32(last[i]) << 8
        beyond = np.int32(folded >> 1) ^ -np.int32(folded & 1)
        guess = values[i]
        ordered = guess ^ (low if guess < 0 else zero)
        values[i] = ordered - beyond if guess < 0 else ordered + beyond  # wraps here
        value = values[i]
        values[i] = value ^ (low if value < 0 else zero)


@compiled()
def restore_planes_4(
    first: Array, second: Array, third: Array, last: Array, values: Array, low: Any
) -> None:
    """The same of four bytes."""  # (n,)
    zero = low ^ low
    for i in range(values.size):
        half = np.uint32(first[i]) | np.uint32(second[i]) << 8
        folded = half | np.uint32(third[i]) << 16 | np.uint32(last[i]) << 24
        beyond = np.int32(folded >> 1) ^ -np.int32(folded & 1)
        guess = values[i]
        ordered = guess ^ (low if guess < 0 else zero)
        values[i] = ordered - beyond if guess < 0 else ordered + beyond  # wraps here
        value = values[i]
        values[i] = value ^ (low if value < 0 else zero)


@compiled()
def count_exponents(predicted: Array, shift: Any, mask: Any, counts: Array) -> None:
    """How often each exponent occurs in either half; `counts` (2, exponents) starts at zero."""
    one = np.uint64(1)
    half = predicted.size // 2
    head, rest = predicted[:half], predicted[half:]
    first, second = counts[0], counts[1]
    for i in range(np.uint64(half)):
        first[(head[i] >> shift) & mask] += one
        second[(rest[i] >> shift) & mask] += one
    for i in range(np.uint64(half), np.uint64(rest.size)):
        second[(rest[i] >> shift) & mask] += one


@compiled()
def scatter(
    beyond: Array, predicted: Array, shift: Any, mask: Any, places: Array, out: Array
) -> None:
    """Bring differences of equal exponents together.

    `places` says where the next one of an exponent in either half goes, and is moved on.
    """  # (n,)
    one = np.uint64(1)
    half = predicted.size // 2
    head, rest = predicted[:half], predicted[half:]
    first, second = places[0], places[1]
    for i in range(half):
        exponent = (head[i] >> shift) & mask
        out[first[exponent]] = beyond[i]
        first[exponent] += one
    for i in range(rest.size):
        exponent = (rest[i] >> shift) & mask
        out[second[exponent]] = beyond[half + i]
        second[exponent] += one


@compiled()
def gather(
    grouped: Array, predicted: Array, shift: Any, mask: Any, places: Array, out: Array
) -> None:
    """The inverse of `scatter`, given the same `places`."""  # (n,)
    one = np.uint64(1)
    half = predicted.size // 2
    head, rest = predicted[:half], predicted[half:]
    head_out, rest_out = out[:half], out[half:]
    first, second = places[0], places[1]
    for i in range(np.uint64(half)):
        head_exponent = (head[i] >> shift) & mask
        rest_exponent = (rest[i] >> shift) & mask
        place = first[head_exponent]
        other = second[rest_exponent]
        head_out[i] = grouped[place]
        rest_out[i] = grouped[other]
        first[head_exponent] = place + one
        second[rest_exponent] = other + one
    for i in range(np.uint64(half), np.uint64(rest.size)):
        exponent = (rest[i] >> shift) & mask
        place = second[exponent]
        rest_out[i] = grouped[place]
        second[exponent] = place + one


@compiled()
def mean_bits(values: Array, predicted: Array, low: Any, step: int) -> float:
    """About how many bits a difference takes: the mean of log2(1 + its size), of each `step`-th."""
    zero = low ^ low  # (n,)
    bits, count = 0.0, 0
    for i in range(0, values.size, step):
        value, guess = values[i], predicted[i]
        ordered = value ^ (low if value < 0 else zero)
        ordered_guess = guess ^ (low if guess < 0 else zero)
        bits += np.log2(1.0 + abs(float(ordered) - float(ordered_guess)))
        count += 1
    return bits / max(1, count)
