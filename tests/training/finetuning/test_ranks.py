"""A recipe on two processes: one model comes out, stopped and gone on with to the bit."""

import json
import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from cairn.domain.finetuning import FineTuning, TaskName
from cairn.errors import RequestError
from cairn.training import steps
from cairn.training.finetuning.evaluating import evaluate
from cairn.training.ranks.group import new_ranks
from tests.training.finetuning.work import done, weights
from tests.training.ranks.processes import in_launched_ranks, in_ranks

CPU = torch.device("cpu")
SHORT = {"steps": 6, "evaluate_every": 3, "learning_rate": 0.01}


def launched(folder: Path, *arguments: Any, **named: Any) -> list[Any]:
    """What two processes are told, each: results, and loss by step."""

    def program() -> None:
        results, told = done(*arguments, **{**SHORT, **named})
        text = json.dumps([results, {one.step: one.loss for one in told}])
        (folder / f"{os.environ['RANK']}.json").write_text(text)

    in_launched_ranks(2, folder, program)
    first, second = (json.loads((folder / f"{rank}.json").read_text()) for rank in range(2))
    assert first == second
    return list(first)


@pytest.mark.slow
def test_two_processes_go_on_to_the_bit(bert: Path, reviews: Path, tmp_path: Path) -> None:
    straight, losses = launched(tmp_path / "a", bert, reviews, tmp_path / "straight")
    first, before = launched(tmp_path / "b", bert, reviews, tmp_path / "cut", stop_after=4)
    assert first["is_interrupted"]
    again, after = launched(tmp_path / "c", bert, reviews, tmp_path / "cut")
    assert {**again, "name": ""} == {**straight, "name": ""}
    assert {**before, **after} == losses
    assert weights(tmp_path / "cut") == weights(tmp_path / "straight") != {}
    assert steps(tmp_path / "cut/run")[-1] == steps(tmp_path / "straight/run")[-1] == 6
    assert straight == json.loads((tmp_path / "straight/results.json").read_text())
    assert launched(tmp_path / "d", bert, reviews, tmp_path / "cut")[1] == {}  # it is over


def test_a_step_has_the_samples_it_would_have_with_one_process(
    bert: Path, reviews: Path, tmp_path: Path
) -> None:
    short = {"steps": 2, "evaluate_every": 2, "learning_rate": 1e-9, "accumulate": 2}
    results, losses = launched(tmp_path / "ranks", bert, reviews, tmp_path / "out", **short)
    measured, alone = done(bert, reviews, tmp_path / "alone", **{**SHORT, **short})
    assert losses["1"] == pytest.approx(alone[0].loss, rel=0.1)  # dropout is another one
    assert results["measured"] == pytest.approx(measured["measured"], rel=1e-5)
    assert results == json.loads((tmp_path / "out/results.json").read_text())
    assert set(weights(tmp_path / "out")) == set(weights(tmp_path / "alone"))


def test_ranks_share_what_is_measured_and_what_is_told_is_of_all(tmp_path: Path) -> None:
    """The mean of 0 to 10 over three batches, and a buffer that the second rank has otherwise."""

    def work(rank: int) -> Any:
        task, model = Counting(), torch.nn.BatchNorm1d(1)
        model.running_mean.fill_(rank)
        found = evaluate(task, model, list(range(11)), CPU, nullcontext, new_ranks())
        return found, task.seen

    first, second = in_ranks(2, tmp_path, work)
    wanted = {"eval_loss": 5.0, "eval_mean": 5.0, "eval_count": 11}
    assert first == [wanted, [[0, 1, 2, 3], [8, 9, 10]]] and second == [wanted, [[4, 5, 6, 7]]]


class Counting:
    """Measures the mean of its samples, which are numbers."""

    recipe = FineTuning("base", "data", TaskName.TEXT_CLASSIFICATION, batch_size=4)

    def __init__(self) -> None:
        self.seen: list[list[int]] = []

    def collate(self, examples: list[int]) -> dict[str, torch.Tensor]:
        return {"numbers": torch.tensor(examples)}

    def answers(self, model: Any, batch: Any) -> Any:
        assert not model.training and float(model.running_mean) == 0
        numbers = batch["numbers"].tolist()
        self.seen.append(numbers)
        return torch.tensor(sum(numbers) / len(numbers)), zip(numbers, numbers, strict=True)

    def measure(self, answers: list[Any]) -> dict[str, float]:
        return {"mean": sum(one for one, _ in answers) / len(answers), "count": len(answers)}


def test_a_batch_that_cannot_be_shared_is_refused(
    bert: Path, reviews: Path, tmp_path: Path
) -> None:
    def program() -> None:
        with pytest.raises(RequestError, match="2 processes cannot share a batch of 7 equally"):
            done(bert, reviews, tmp_path / "out", batch_size=7, **SHORT)

    in_launched_ranks(2, tmp_path / "ranks", program)
