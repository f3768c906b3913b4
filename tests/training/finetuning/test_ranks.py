"""A recipe on two processes: one model comes out, stopped and gone on with to the bit."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from cairn.errors import RequestError
from cairn.training import steps
from tests.training.finetuning.work import done, weights
from tests.training.ranks.processes import in_launched_ranks

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
    short = {"steps": 2, "evaluate_every": 2}
    results, losses = launched(tmp_path / "ranks", bert, reviews, tmp_path / "out", **short)
    alone = done(bert, reviews, tmp_path / "alone", **{**SHORT, **short})[1]
    assert losses["1"] == pytest.approx(alone[0].loss, rel=0.1)  # dropout is another one
    assert results == json.loads((tmp_path / "out/results.json").read_text())
    assert set(weights(tmp_path / "out")) == set(weights(tmp_path / "alone"))


def test_a_batch_that_cannot_be_shared_is_refused(
    bert: Path, reviews: Path, tmp_path: Path
) -> None:
    def program() -> None:
        with pytest.raises(RequestError, match="2 processes cannot share a batch of 7 equally"):
            done(bert, reviews, tmp_path / "out", batch_size=7, **SHORT)

    in_launched_ranks(2, tmp_path / "ranks", program)
