"""What a recipe leaves open is settled by the base, the memory that is free, and the folder."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from cairn.domain.finetuning import AUTO_BATCH, FineTuning, Method, TaskName
from cairn.domain.learning_rates import usual_learning_rate
from cairn.errors import RequestError
from cairn.training.finetuning.memory import free_bytes
from cairn.workflows import finetune_settling
from cairn.workflows.finetune_recipe import RECIPE, recipe_values, write_recipe
from cairn.workflows.finetune_settling import Room, settled
from cairn.workflows.finetune_work import Place, Work

AUTO: dict[str, Any] = {"batch_size": AUTO_BATCH, "max_length": 16, "learning_rate": 0.01}


def work(base: Path, out: Path, **recipe: Any) -> Work:
    task = TaskName.TEXT_CLASSIFICATION
    recipe = {"task": task, "method": Method.FULL, **recipe}
    return Work(
        FineTuning(str(base), "data", **recipe), Place(base, "base"), Place(out, "d"), None, out
    )


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Says how many bytes are free."""

    def say(size_bytes: int) -> None:
        monkeypatch.setattr(
            finetune_settling, "_room", lambda _: Room("cpu", size_bytes, True, False)
        )

    return say


def chosen(asked: Work, processes: int = 1) -> tuple[int, int, str]:
    said: list[str] = []
    recipe = settled(asked, said.append, processes).recipe
    return recipe.batch_size, recipe.accumulate, " ".join(said)


def test_a_step_keeps_its_rows_in_as_few_passes_as_fit(
    bert: Path, tmp_path: Path, free: Any
) -> None:
    free(10**9)
    size, passes, said = chosen(work(bert, tmp_path, **AUTO))
    assert (size, passes) == (8, 1) and "a step of 8 rows is 1 pass of 8: about" in said
    assert chosen(work(bert, tmp_path, **AUTO, accumulate=4))[:2] == (32, 1)
    found = set()
    for power in range(40):
        free(round(100_000 * 1.1**power))
        try:
            size, passes, said = chosen(work(bert, tmp_path, **AUTO, accumulate=2))
        except RequestError:
            assert not found, "more memory is never too little"
            continue
        assert size * passes == 16
        assert f"pass{'es' if passes > 1 else ''} of {size}:" in said
        found.add(size)
    assert found == {1, 2, 4, 8, 16}


def test_processes_share_a_step(bert: Path, tmp_path: Path, free: Any) -> None:
    free(10**9)
    assert chosen(work(bert, tmp_path, **AUTO), processes=4)[:2] == (8, 1)
    with pytest.raises(RequestError, match="3 processes cannot share a step of 8 rows"):
        chosen(work(bert, tmp_path, **AUTO), processes=3)


def test_where_not_one_row_fits_what_takes_less_is_said(
    bert: Path, tmp_path: Path, free: Any
) -> None:
    free(10_000)
    with pytest.raises(
        RequestError, match=r"one row takes about .* --method lora, a smaller --max"
    ):
        chosen(work(bert, tmp_path, **AUTO))


def test_a_folder_keeps_the_batch_that_it_was_begun_with(
    bert: Path, tmp_path: Path, free: Any
) -> None:
    begun = work(bert, tmp_path, **{**AUTO, "batch_size": 2}, accumulate=4).recipe
    write_recipe(tmp_path / RECIPE, begun, {})
    free(10**9)
    assert chosen(work(bert, tmp_path, **AUTO)) == (2, 4, "")


def test_a_base_that_nobody_can_reckon_wants_a_number(tmp_path: Path, free: Any) -> None:
    from safetensors.torch import save_file

    save_file({"odd.weight": torch.zeros(3, 5, 7)}, tmp_path / "model.safetensors")
    free(10**9)
    with pytest.raises(RequestError, match=r"nobody knows what a row takes .* give a --batch-size"):
        chosen(work(tmp_path, tmp_path / "out", **AUTO))


def test_free_memory_is_less_than_the_machine_has() -> None:
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < free_bytes(torch.device("cpu")) < machine


def test_the_usual_rate_falls_with_size_and_recipes_say_it(bert: Path, tmp_path: Path) -> None:
    text, image = TaskName.TEXT_CLASSIFICATION, TaskName.TEXT_TO_IMAGE
    sizes = (10**4, 22_713_986, 10**8, 10**9, 7 * 10**9, 7 * 10**10)
    for method in (Method.FULL, Method.LORA):
        rates = [usual_learning_rate(method, text, size) for size in sizes]
        assert rates == sorted(rates, reverse=True) and len(set(rates)) == len(sizes)
    assert usual_learning_rate(Method.LORA, image, 860 * 10**6) == 1e-4
    recipe = settled(work(bert, tmp_path), lambda _: None).recipe
    assert recipe.rate == recipe_values(recipe)["learning_rate"] == 3e-3
    given = work(bert, tmp_path, learning_rate=1.0)
    assert settled(given, lambda _: None).recipe.rate == 1.0
