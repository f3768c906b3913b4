"""The benchmark of a model's other forms makes them, and the store finds each in the model."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def forms() -> Iterator[ModuleType]:
    """The benchmark as a module; it finds its siblings as it does when run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("forms")


def test_every_form_takes_little_beside_the_model(forms: ModuleType) -> None:
    rng = np.random.default_rng(0)
    shapes = {"tokens": (10_100, 96), "query": (384, 384), "key": (384, 384), "up": (512, 384)}
    model = {n: rng.normal(0, 0.02, shape).astype(np.float32) for n, shape in shapes.items()}
    shares = {}
    for name, before, files in forms.forms(model):
        alone, beside = forms.measured(before, files)
        shares[name] = beside.stored_bytes / sum(map(len, files))
        assert beside.stored_bytes < alone.stored_bytes, name
    near = {name for name, share in shares.items() if share > 0.05}
    assert near == {
        "tuned", "tuned and turned", "64 more tokens, then tuned", "with an average beside it"
    }  # fmt: skip
    assert max(shares.values()) < 0.65
