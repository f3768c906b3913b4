"""The record and the curves of a run, whatever becomes of its process and of the disk."""

import errno
import fcntl
import hashlib
import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cairn.domain import (
    BaseModel,
    Digest,
    RecipeKind,
    Retention,
    RunRecord,
    RunStatus,
    TrainingData,
    TrainingRecipe,
)
from cairn.errors import (
    ConflictError,
    MalformedError,
    RequestError,
    UnavailableError,
    UntrustedDataError,
)
from cairn.formats import FileSource
from cairn.formats.training_metrics import curves, read_points
from cairn.formats.training_run import read_run
from cairn.training import Run


def record(folder: Path) -> RunRecord:
    with FileSource(folder / "run.json") as source:
        return read_run(source)


def curve(folder: Path, name: str = "loss") -> list[tuple[int, float]]:
    with FileSource(folder / "metrics.jsonl") as source:
        return curves(read_points(source))[name]


def model() -> nn.Module:
    return nn.Linear(2, 2)


def test_a_run_says_what_it_is_made_of_and_how_it_is_started_again(tmp_path: Path) -> None:
    recipe = TrainingRecipe(RecipeKind.BUILTIN, "finetune", arguments=("finetune", "org/base"))
    keep = Retention(last=2, best=1)
    data = TrainingData("train.csv", "sha256:" + "0" * 64)
    about: dict[str, Any] = {"seed": 7, "base": "org/base@v1", "data": data, "recipe": recipe}
    with Run(tmp_path / "a", keep=keep, model=model(), **about):
        during = record(tmp_path / "a")
    assert during.status is RunStatus.RUNNING
    after = record(tmp_path / "a")
    assert (after.status, after.name, after.seed) == (RunStatus.ENDED, "a", 7)
    assert (after.base, after.data, after.keep) == (BaseModel("org/base", "v1"), (data,), keep)
    kept = replace(after.recipe, directory=recipe.directory, folder=recipe.folder)
    assert kept == recipe
    assert after.sessions[0].environment["torch"] == str(torch.__version__)
    assert after.sessions[0].environment["data_digest"] == data.digest
    assert after.id == during.id


SCRIPT = """
import torch
from cairn.training import Run
Run("runs/a", model=torch.nn.Linear(1, 1)).close()
"""


@pytest.mark.slow
def test_a_script_is_recorded_as_it_was_called(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    command = [sys.executable, "-u", "train.py", "--lr", "0.1"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=120)
    check_recipe(tmp_path)


def test_a_script_is_recorded_by_the_words_of_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "train.py", raising=False)
    monkeypatch.setattr(sys, "orig_argv", [sys.executable, "-u", "train.py", "--lr", "0.1"])
    Run("runs/a", model=model()).close()
    check_recipe(tmp_path)


def check_recipe(folder: Path) -> None:
    recipe = record(folder / "runs/a").recipe
    assert (recipe.kind, recipe.program) == (RecipeKind.SCRIPT, "train.py")
    assert recipe.arguments == ("-u", "train.py", "--lr", "0.1")
    assert (recipe.directory, recipe.folder) == ("../..", "runs/a")
    assert recipe.digest == Digest.sha256(hashlib.sha256(SCRIPT.encode()).hexdigest())


def test_what_was_typed_in_cannot_be_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)
    Run(tmp_path, model=model()).close()
    assert record(tmp_path).recipe.kind is RecipeKind.TYPED_IN


def test_an_error_ends_a_run_in_words_and_the_next_session_goes_on(tmp_path: Path) -> None:
    made = model()
    with pytest.raises(ZeroDivisionError), Run(tmp_path, model=made) as run:
        run.log(1, loss=1.0)
        run.save(1)
        1 / 0  # noqa: B018
    failed = record(tmp_path)
    assert (failed.status, failed.error) == (
        RunStatus.FAILED,
        "ZeroDivisionError: division by zero",
    )
    with pytest.raises(KeyboardInterrupt), Run(tmp_path, model=made) as run:
        run.resume()
        raise KeyboardInterrupt
    stopped = record(tmp_path)
    assert stopped.status is RunStatus.INTERRUPTED
    assert [session.from_step for session in stopped.sessions] == [None, 1]
    assert stopped.id == failed.id


def test_curves_never_show_a_step_twice(tmp_path: Path) -> None:
    made = model()
    with Run(tmp_path, model=made) as run:
        for step in range(1, 8):
            run.log(step, epoch=step / 4, loss=torch.tensor(float(step)))
            if step % 2 == 0:
                run.save(step)
        run.log(7, accuracy=0.5)  # of the same step
        with pytest.raises(RequestError, match="step 7 was logged already, 6 comes before"):
            run.log(6, loss=0.0)
    with Run(tmp_path, model=made) as run:
        run.resume(step=4)
        assert len(curve(tmp_path)) == 7  # until something new is known
        run.log(5, loss=50.0)
        assert run.steps() == [2, 4, 6]
        run.save(5)
        run.wait()
        assert run.steps() == [2, 4, 5]  # 6 lies on the way that was left
    assert curve(tmp_path) == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0), (5, 50.0)]
    with Run(tmp_path, model=made) as run:
        run.log(1, loss=9.0)  # began anew
    assert curve(tmp_path) == [(1, 9.0)]


def test_a_line_that_a_kill_left_unfinished_is_no_point_and_goes(tmp_path: Path) -> None:
    made = model()
    with Run(tmp_path, model=made) as run:
        run.log(1, loss=1.0)
        run.save(1)
    with (tmp_path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"step":2,"seco')
    assert curve(tmp_path) == [(1, 1.0)]
    with Run(tmp_path, model=made) as run:
        run.resume()
        run.log(2, loss=2.0)
    assert curve(tmp_path) == [(1, 1.0), (2, 2.0)]


def test_damaged_curves_are_kept_aside_and_training_goes_on(tmp_path: Path) -> None:
    made = model()
    with Run(tmp_path, model=made) as run:
        for step in (1, 2, 3):
            run.log(step, loss=float(step))
        run.save(3)
    path = tmp_path / "metrics.jsonl"
    damaged = path.read_bytes().replace(b'"step":2', b'"step";2')
    path.write_bytes(damaged)
    with Run(tmp_path, model=made) as run:
        run.resume()
        with pytest.warns(UserWarning, match=r"line 2: .* go on after step 1; .*\.damaged"):
            run.log(4, loss=4.0)
    assert curve(tmp_path) == [(1, 1.0), (4, 4.0)]
    assert [one.read_bytes() for one in tmp_path.glob(".metrics*.damaged")] == [damaged]


def test_a_loss_that_is_no_number_is_logged_and_told_once(tmp_path: Path) -> None:
    with Run(tmp_path, model=model()) as run:
        with pytest.warns(UserWarning, match="loss is nan at step 2: the run goes on") as told:
            for step, loss in enumerate((1.0, math.nan, math.inf, -math.inf), 1):
                run.log(step, loss=loss)
        assert len(told) == 1
        assert told[0].filename == __file__
    values = [value for _, value in curve(tmp_path)]
    assert math.isnan(values[1])
    assert values[2:] == [math.inf, -math.inf]


def test_a_full_disk_costs_no_point_and_no_step_of_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with Run(tmp_path, model=model()) as run:
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", full)
            with pytest.warns(UserWarning, match="takes no more lines: .*No space left") as told:
                run.log(1, loss=1.0)
                run.log(2, loss=2.0)
            assert len(told) == 1
        run.log(3, loss=3.0)
    assert curve(tmp_path) == [(1, 1.0), (2, 2.0), (3, 3.0)]


def test_a_full_disk_at_the_end_leaves_the_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    run = Run(tmp_path, model=model())
    run.save(1)
    run.wait()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(UserWarning, match="the record of the run could not be finished"):
        run.close()
    assert run.steps() == [1]
    assert record(tmp_path).status is RunStatus.RUNNING  # as it was last written


def test_one_process_at_a_time_writes_a_run(tmp_path: Path) -> None:
    with (
        Run(tmp_path, model=model()),
        pytest.raises(ConflictError, match="is open in this process: close it first"),
    ):
        Run(tmp_path, model=model())
    with (tmp_path / ".run.lock").open("r+") as another:
        fcntl.flock(another, fcntl.LOCK_EX)  # of its own, as that of another process is
        another.write("12345")
        another.truncate()
        another.flush()
        with pytest.raises(ConflictError, match="being written by process 12345"):
            Run(tmp_path, model=model())
    Run(tmp_path, model=model()).close()


def test_of_several_processes_the_first_writes_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Run(tmp_path, model=model()):
        monkeypatch.setenv("RANK", "1")
        with Run(tmp_path, model=model()) as second:
            second.log(1, loss=1.0)
    assert (tmp_path / "metrics.jsonl").read_bytes() == b""
    assert len(record(tmp_path).sessions) == 1


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"version": 2}, UnavailableError, "has version 2 of the format"),
        ({"version": True}, MalformedError, "has the version True"),
        ({"format": "other"}, MalformedError, "not that of a training run"),
        ({"status": "asleep"}, MalformedError, "'asleep' is not a valid"),
        ({"seed": "7"}, MalformedError, "misstates 'seed'"),
        ({"sessions": []}, MalformedError, "never began"),
    ],
)
def test_a_record_of_something_else_is_refused_and_stays(
    change: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    Run(tmp_path, model=model()).close()
    path = tmp_path / "run.json"
    other = json.dumps({**json.loads(path.read_text()), **change})
    path.write_text(other)
    with pytest.raises(error, match=message) as refused:
        Run(tmp_path, model=model())
    assert path.read_text() == other
    assert ("move run.json away" in str(refused.value)) is (error is MalformedError)
    path.unlink()
    Run(tmp_path, model=model()).close()  # the lock is free


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[]", "line 1: .*misstates a point"),
        ('{"step":-1,"seconds":0,"values":{}}', "-1 cannot be a step"),
        ('{"step":1,"values":{}}', "lacks 'seconds'"),
        ('{"step":1,"seconds":0,"values":{"loss":"much"}}', "misstates 'loss'"),
        ("x" * (2 << 20), "more than 1,048,576 bytes"),
    ],
)
def test_lines_that_are_no_points_are_refused(line: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(line + "\n")
    with pytest.raises(UntrustedDataError, match=message):
        curve(tmp_path)
