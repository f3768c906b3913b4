"""Small families of checkpoints: a parent, steps of a series, fine-tunes, casts, a shared layer."""

from functools import lru_cache

import numpy as np

from tests.store.making import safetensors

ELEMENTS = 33_000  # the smallest file, in two bytes each, is still one that is rewritten
MEMBERS = 9


@lru_cache(maxsize=256)
def member(number: int) -> bytes:
    """The file of a member; nine in a row are one family."""
    family, place = divmod(number, MEMBERS)
    parent = _values(family * 100)
    match place:
        case 0:
            return _file("F32", parent)
        case 1 | 2 | 3 | 4:
            return _file("F32", _steps(parent, family, place))
        case 5:
            return _file("BF16", parent)
        case 6:
            return _file("F16", parent)
        case 7:  # trained on from a cast
            return _file("BF16", _moved(parent, family * 100 + 70, 1e-3))
        case _:  # one layer as it was, one fine-tuned, one of its own
            tuned = _moved(parent, family * 100 + 80, 1e-4)
            return _file("F32", parent, tuned, _values(family * 100 + 99))


def _values(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.02, ELEMENTS).astype("<f4")


def _moved(values: np.ndarray, seed: int, size: float) -> np.ndarray:
    return (values + np.random.default_rng(seed).normal(0, size, len(values))).astype("<f4")


def _steps(values: np.ndarray, family: int, steps: int) -> np.ndarray:
    for step in range(steps):
        values = _moved(values, family * 100 + 10 + step, 1e-4)
    return values


def _file(label: str, *tensors: np.ndarray) -> bytes:
    return safetensors({f"layer.{n}": (label, _bytes(label, t)) for n, t in enumerate(tensors)})


def _bytes(label: str, values: np.ndarray) -> bytes:
    if label == "BF16":
        bits = values.view("<u4")
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2").tobytes()
    return values.astype("<f2" if label == "F16" else "<f4").tobytes()
