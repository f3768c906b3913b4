"""The loops between values, their predictions, and the differences that are stored.

A float's bits become an integer that orders as the float does (the magnitude bits of a
negative one are flipped), so that near values give small differences, counted in units of
the last place. A difference is taken away from zero or towards it, by the prediction's sign:
weights that shrink then differ from weights that grow. All arithmetic wraps, so every pair
of bit patterns has a difference and comes back from it.

`low` has the magnitude bits of the type for floats and zero for integers. Arrays are
contiguous, signed, of the type's width, and equally long.
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
def count_exponents(predicted: Array, shift: int, counts: Array) -> None:
    """How often each exponent occurs; `counts` is a power of two long and starts at zero."""
    mask = counts.size - 1
    for i in range(predicted.size):
        counts[(predicted[i] >> shift) & mask] += 1


@compiled()
def scatter(beyond: Array, predicted: Array, shift: int, places: Array, out: Array) -> None:
    """Bring differences of equal exponents together.

    `places` says where the next one of an exponent goes, and is moved on.
    """  # (n,)
    mask = places.size - 1
    for i in range(predicted.size):
        exponent = (predicted[i] >> shift) & mask
        place = places[exponent]
        out[place] = beyond[i]
        places[exponent] = place + 1


@compiled()
def gather(grouped: Array, predicted: Array, shift: int, places: Array, out: Array) -> None:
    """The inverse of `scatter`, given the same `places`."""  # (n,)
    mask = places.size - 1
    for i in range(predicted.size):
        exponent = (predicted[i] >> shift) & mask
        place = places[exponent]
        out[i] = grouped[place]
        places[exponent] = place + 1


@compiled()
def mean_bits(values: Array, predicted: Array, low: Any) -> float:
    """About how many bits a difference takes: the mean of log2(1 + its size)."""  # (n,)
    zero = low ^ low
    bits = 0.0
    for i in range(values.size):
        value, guess = values[i], predicted[i]
        ordered = value ^ (low if value < 0 else zero)
        ordered_guess = guess ^ (low if guess < 0 else zero)
        bits += np.log2(1.0 + abs(float(ordered) - float(ordered_guess)))
    return bits / max(1, values.size)
