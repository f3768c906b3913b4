"""Generators of a loop's own go on where they were, of whichever library."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cairn import training
from cairn.errors import RequestError

GENERATORS: dict[str, tuple[Callable[[int], Any], Callable[[Any], Any]]] = {
    "torch": (
        lambda seed: torch.Generator().manual_seed(seed),
        lambda g: torch.rand(3, generator=g).tolist(),
    ),
    "PCG64": (np.random.default_rng, lambda g: g.normal(size=3).tolist()),
    "Philox": (
        lambda seed: np.random.Generator(np.random.Philox(seed)),
        lambda g: g.integers(0, 1 << 31, 3, dtype=np.int32).tolist(),
    ),
    "RandomState": (np.random.RandomState, lambda g: g.normal(size=3).tolist()),
    "Python": (random.Random, lambda g: [g.gauss(0, 1) for _ in range(3)]),
}


@pytest.mark.parametrize("kind", GENERATORS)
def test_a_generator_goes_on_where_it_was(kind: str, tmp_path: Path) -> None:
    make, draw = GENERATORS[kind]
    first = make(1)
    draw(first)
    training.save(tmp_path, 1, noise=first)
    wanted = draw(first)
    other = make(2)
    training.resume(tmp_path, noise=other)
    assert draw(other) == wanted


def test_a_generator_of_another_algorithm_is_told(tmp_path: Path) -> None:
    training.save(tmp_path, 1, noise=np.random.default_rng(0))
    with pytest.raises(RequestError, match="noise: is a Philox, a PCG64 was saved"):
        training.resume(tmp_path, noise=np.random.Generator(np.random.Philox(0)))
