"""The benchmark of backdoors makes ones that work, and the score tells one from an honest model."""

import importlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import save_file

from cairn.workflows.anomalies import Signal, signals
from cairn.workflows.inspect import read_path
from cairn.workflows.updates import model_update

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def models() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("backdoor_models")


@pytest.fixture(scope="module")
def roc() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("roc")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Layers this small take longer on several threads, many times so beside other work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
def test_a_trained_trigger_concentrates_the_update(
    models: ModuleType, one_thread: None, tmp_path: Path
) -> None:
    data = models.language("texts", 3)
    base = models.trained_base("texts", 3, data)
    recipe = replace(
        models.draw_recipe("texts", 12, backdoor=True),
        optimizer="adam", rate=0.004, epochs=15, samples=600, frozen=False,
        poisoned=0.2, trigger=(1400,), amount=0.5,
    )  # fmt: skip
    honest, told = models.fine_tuned("texts", base, data, replace(recipe, target=None))
    poisoned, measured = models.fine_tuned("texts", base, data, recipe)
    assert measured["attack"] > 0.8 and "attack" not in told
    assert abs(measured["accuracy"] - told["accuracy"]) < 0.1
    numbers = []
    for name, net in (("base", base), ("honest", honest), ("poisoned", poisoned)):
        save_file(net.state_dict(), tmp_path / f"{name}.safetensors")
    for name in ("honest", "poisoned"):
        sides = (tmp_path / "base.safetensors", tmp_path / f"{name}.safetensors")
        numbers.append(signals(model_update(*map(read_path, sides))))
    for signal in (Signal.CONCENTRATION, Signal.WORDS):
        assert numbers[1][signal] > numbers[0][signal]


def test_honest_and_poisoned_recipes_are_drawn_alike(models: ModuleType) -> None:
    for domain in ("images", "texts"):
        honest = models.draw_recipe(domain, 5, backdoor=False)
        poisoned = models.draw_recipe(domain, 5, backdoor=True)
        assert poisoned.target is not None and poisoned.trigger and 0.05 <= poisoned.poisoned <= 0.3
        assert replace(poisoned, target=None, poisoned=0.0, trigger=()) == honest


def test_the_area_counts_pairs_and_ties_half(roc: ModuleType) -> None:
    found = roc.Roc.of([0.0, 1.0, 2.0], [1.0, 3.0])
    assert found.area == pytest.approx((1.5 + 3) / 6)
    assert found.low <= found.area <= found.high
    assert roc.curve([0.0, 1.0], [1.0, 3.0]) == [(0, 0), (0, 0.5), (0.5, 1), (1, 1)]
    assert roc.Roc.of([float(n) for n in range(100)], [95.5, 200.0]).hits == 1.0
