"""Numbers that follow from a seed, an epoch and an index, the same on every machine and release.

NumPy and torch may change how their generators shuffle. What is here is defined by itself: the
finaliser of SplitMix64, chained over the numbers. Source: Steele, Lea, Flood, "Fast Splittable
Pseudorandom Number Generators", OOPSLA 2014, https://doi.org/10.1145/2714064.2660195.
"""

from typing import Any

import numpy as np

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1
# What numbers are for, so that the order of samples says nothing about their seeds.
_ORDER, _SAMPLE, _LOADER = 1, 2, 3


def order(size: int, seed: int, epoch: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """A permutation of `range(size)`: indices sorted by the number each of them is given."""
    start = np.uint64(_chain(_ORDER, seed, epoch))
    with np.errstate(over="ignore"):
        keys = _mixed(np.arange(size, dtype=np.uint64) * np.uint64(_GOLDEN) + start)  # (size,)
    return np.argsort(keys, kind="stable")


def sample_seed(seed: int, epoch: int, index: int) -> int:
    """A seed of 63 bits for whatever is random about one sample in one epoch."""
    return _chain(_SAMPLE, seed, epoch, index) >> 1


def loader_seed(seed: int, epoch: int, rank: int = 0) -> int:
    """A seed of 63 bits for the generator that a DataLoader seeds its workers from."""
    return _chain(_LOADER, seed, epoch, *([rank] if rank else [])) >> 1


def _chain(*numbers: int) -> int:
    state = 0
    for number in numbers:
        state = _mixed_one((state + _GOLDEN + number) & _MASK)
    return state


def _mixed_one(value: int) -> int:
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def _mixed(
    values: np.ndarray[Any, np.dtype[np.uint64]],
) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """The same as `_mixed_one`, of every element."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
