"""`cairn run` as a person runs it: on runs of a tiny model, and on what is left of broken ones."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from torch import nn

from cairn.cli.main import app
from cairn.errors import (
    ConflictError,
    EntryNotFoundError,
    ForbiddenError,
    InexactError,
    RequestError,
)
from cairn.training import RecipeKind as Kind
from cairn.training import Run, TrainingData, TrainingRecipe, data_at
from cairn.workflows import run_conditions

# Stands for a program that trains: says what it is asked, and does not need torch for that.
PROGRAM = """
import os, pathlib, sys
pathlib.Path("asked.json").write_text(os.environ["CAIRN_RUN"])
print("trained with", sys.argv[1])
sys.exit(int(sys.argv[2]))
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a program, and a state folder of its own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(PROGRAM)
    (tmp_path / "train.csv").write_text("text,label\n")
    return tmp_path


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process is one of the program."""
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "train.py", raising=False)
    monkeypatch.setattr(sys, "orig_argv", [sys.executable, "train.py", "0.1", "3"])
    yield


def cairn(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["run", *arguments])


def told(*arguments: str) -> Any:
    done = cairn(*arguments, "--json")
    assert done.exit_code == 0, done.exception
    return json.loads(done.stdout)


def train(folder: str, *, rate: float = 0.1, steps: int = 6, every: int = 2, **about: Any) -> None:
    torch.manual_seed(1)
    model = nn.Linear(3, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    with Run(folder, seed=1, model=model, optimizer=optimizer, **about) as run:
        for step in range(1, steps + 1):
            loss = (model(torch.ones(2, 3)) - 1).square().mean()
            loss.backward()
            optimizer.step()
            run.log(step, loss=loss, rate=rate)
            if step % every == 0:
                run.save(step, metrics={"loss": loss})


def test_runs_below_a_folder_are_listed_and_broken_ones_say_why(program: None) -> None:
    train("runs/a")
    train("runs/deep/b", steps=1)
    Path("runs/newer").mkdir()
    Path("runs/newer/run.json").write_text('{"format": "cairn-run", "version": 2}')
    Path("runs/other").mkdir()
    a, b, newer = told("list", "runs")
    assert (a["name"], a["status"], a["steps"]) == ("runs/a", "ended", [2, 4, 6])
    assert (a["resume_point"], a["last_step"]) == (6, 6)
    assert (b["steps"], b["resume_point"], b["last_step"]) == ([], None, 1)
    assert "this Cairn reads up to 1" in newer["unreadable"]
    text = cairn("list", "runs").output
    assert "unreadable" in text and "rate 0.1" in text
    assert "no training run is in" in cairn("list", "runs/other").stderr


def test_a_run_is_shown_with_curves_checkpoints_and_where_it_goes_on(program: None) -> None:
    train("runs/a", base="org/base@v1", data=data_at("train.csv"))
    text = cairn("show", "runs/a").output
    for part in (
        "started:  python train.py 0.1 3",
        "base:     org/base@v1",
        "data:     train.csv sha256:",
        "resume goes on after step 6",
        "rate is 0.1 throughout",
        "program, data, machine and libraries are as they were",
    ):
        assert part in text
    assert re.search(r"┤[\u2801-\u28ff]", text)
    Path("train.csv").write_text("text,label\nbad,0\n")
    Path("train.py").unlink()
    changed = {one["name"]: one["now"] for one in told("show", "runs/a")["changed"]}
    assert set(changed) == {"data train.csv", "program"}
    assert changed["program"] is None
    assert "not exact here and now, because" in cairn("show", "runs/a").output


def test_of_a_folder_around_a_run_the_run_is_named(program: None) -> None:
    train("tuned/run")
    wrong = cairn("show", "tuned").exception
    assert isinstance(wrong, EntryNotFoundError) and "tuned/run does" in str(wrong)
    train("tuned/again")
    assert "several folders in it do" in str(cairn("show", "tuned").exception)


def test_a_run_is_shown_while_a_process_writes_it(program: None) -> None:
    with Run("runs/a", model=nn.Linear(2, 2)) as run:
        with pytest.warns(UserWarning, match="loss is nan"):
            run.log(1, loss=float("nan"))
        run.save(1, metrics={"loss": float("nan")})
        run.wait()
        found = told("show", "runs/a")
        assert (found["status"], found["resume_point"]) == ("running", None)
        assert found["curves"] == {"loss": [[1, "NaN"]]}
        assert "loss is nan throughout" in cairn("show", "runs/a").output
        refused = cairn("resume", "runs/a").exception
        assert isinstance(refused, ConflictError)


def test_a_run_whose_process_was_killed_is_interrupted(program: None) -> None:
    train("runs/a")
    record = json.loads(Path("runs/a/run.json").read_text())
    Path("runs/a/run.json").write_text(json.dumps({**record, "status": "running"}))
    found = told("show", "runs/a")
    assert found["status"] == "interrupted"
    assert "it was killed" in found["error"]


def test_a_truncated_checkpoint_is_told_and_not_the_one_to_go_on_from(program: None) -> None:
    train("runs/a")
    os.truncate("runs/a/step-6/model.safetensors", 40)
    found = told("show", "runs/a")
    assert found["resume_point"] == 4
    assert found["steps"][2]["trouble"].startswith("model.safetensors has 40 bytes")
    Path("runs/a/step-4/checkpoint.json").write_text("{")
    assert told("show", "runs/a")["resume_point"] == 2
    done = cairn("resume", "runs/a")
    assert "step 6 cannot be resumed, going on after step 2" in done.stderr
    assert json.loads(Path("asked.json").read_text())["step"] == 2


@pytest.mark.parametrize(
    "odd",
    [
        {"metrics": {"loss": {"$int": "f" * 300}}},
        {"metrics": {"loss": {"$float": "7ff8"}}},
        {"version": [[]]},
        {"files": {"model.safetensors": {"digest": "", "bytes": "many"}}},
    ],
)
def test_a_record_of_nonsense_is_told_and_the_rest_is_shown(
    odd: dict[str, Any], program: None
) -> None:
    train("runs/a")
    path = Path("runs/a/step-6/checkpoint.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **odd}))
    found = told("show", "runs/a")
    assert found["resume_point"] == 4
    assert found["steps"][2]["trouble"]


def test_checkpoints_without_a_record_are_a_run_too(program: None) -> None:
    train("runs/a")
    Path("runs/a/run.json").unlink()
    Path("runs/a/metrics.jsonl").unlink()
    found = told("show", "runs/a")
    assert (found["record"], found["status"], found["resume_point"]) == (None, None, 6)
    assert [step for step, _ in found["curves"]["loss"]] == [2, 4, 6]
    assert isinstance(cairn("resume", "runs/a").exception, RequestError)


def test_runs_are_compared_by_what_they_are_made_of_and_where_they_part(program: None) -> None:
    train("a")
    train("b", rate=0.2, data=TrainingData("more.csv"))
    train("c")
    found = told("compare", "a", "b", "c")
    unlike = {row["name"]: row["values"] for row in found["unlike"]}
    assert unlike == {"data": ["-", "more.csv", "-"]}
    apart, same = found["partings"]["loss"]
    assert (apart["common"], apart["first_step"]) == (6, 2)  # the first loss is before any step
    assert same == {"common": 6, "first_step": None, "largest": 0.0}
    text = cairn("compare", "a", "b").output
    assert "loss of b differs from step 2, by up to" in text
    assert "loss of b is" not in text
    assert isinstance(cairn("compare", "a").exception, RequestError)


def test_the_program_is_executed_again_and_asked_to_go_on(program: None) -> None:
    train("runs/a")
    dry = cairn("resume", "runs/a", "--dry-run").output
    assert dry.strip() == f"{sys.executable} train.py 0.1 3"
    assert not Path("asked.json").exists()
    done = cairn("resume", "runs/a", "--step", "4", "--allow", "threads", "--json")
    assert done.exit_code == 3  # the program's own
    asked = json.loads(Path("asked.json").read_text())
    assert asked == {
        "folder": str(Path("runs/a").resolve()),
        "into": str(Path("runs/a").resolve()),
        "step": 4,
        "allow": ["threads"],
        "until": None,
    }
    assert json.loads(done.stdout)["exit_code"] == 3
    refused = cairn("resume", "runs/a", "--step", "5").exception
    assert str(refused) == "runs/a has no checkpoint of step 5, only 2, 4, 6"


def test_a_run_that_somebody_else_began_is_not_executed_unasked(program: None) -> None:
    train("runs/a")
    record = Path("runs/a/run.json")
    record.write_text(record.read_text().replace('"0.1"', '"0.2"'))  # another command
    done = cairn("resume", "runs/a")
    assert isinstance(done.exception, ForbiddenError)
    assert not Path("asked.json").exists()
    assert cairn("resume", "runs/a", "--trust-code").exit_code == 3
    shutil.rmtree("state")
    assert isinstance(cairn("resume", "runs/a").exception, ForbiddenError)


def test_of_a_run_from_elsewhere_only_its_own_files_are_read(
    program: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    train("runs/a", data=data_at("train.csv"))
    shutil.rmtree("state")
    monkeypatch.setattr(run_conditions, "code_revision", pytest.fail)
    monkeypatch.setattr(run_conditions, "content_digest", pytest.fail)
    assert told("show", "runs/a")["changed"] is None
    assert "not begun here by you" in cairn("show", "runs/a").output


def test_another_program_is_not_taken_for_the_one_that_trained(program: None) -> None:
    train("runs/a")
    Path("train.py").write_text(PROGRAM + "# changed\n")
    done = cairn("resume", "runs/a")
    assert isinstance(done.exception, InexactError)
    assert "--allow program" in str(done.exception)
    assert cairn("resume", "runs/a", "--allow", "program").exit_code == 3


def test_a_moved_run_is_resumed_where_its_program_is_named(program: None) -> None:
    train("runs/a")
    Path("elsewhere").mkdir()
    shutil.move("runs/a", "elsewhere/further/a")
    assert isinstance(cairn("resume", "elsewhere/further/a").exception, EntryNotFoundError)
    assert cairn("resume", "elsewhere/further/a", "--directory", ".").exit_code == 3
    asked = json.loads(Path("asked.json").read_text())
    assert asked["folder"] == str(Path("runs/a").resolve())
    assert asked["into"] == str(Path("elsewhere/further/a").resolve())


def test_a_run_in_a_store_is_fetched_and_resumed_if_it_is_trusted(program: None) -> None:
    train("runs/a")
    told("push", "runs/a", "store:store/a")
    at = ("resume", "store:store/a", "--into", "b", "--directory", ".")
    assert isinstance(cairn(*at).exception, ForbiddenError)
    assert cairn(*at, "--trust-code").exit_code == 3
    assert told("show", "b")["resume_point"] == 6
    assert json.loads(Path("asked.json").read_text())["into"] == str(Path("b").resolve())


def test_the_orders_of_a_resume_reach_the_run(
    place: Path, program: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    train("runs/a")
    shutil.move("runs/a", "b")
    orders = {"folder": str(place / "runs/a"), "into": str(place / "b"), "step": 4, "allow": []}
    monkeypatch.setenv("CAIRN_RUN", json.dumps(orders))
    model = nn.Linear(3, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with Run("runs/a", model=model, optimizer=optimizer) as run:
        back = run.resume()
        assert back is not None
        assert (back.step, run.folder) == (4, place / "b")
        again = run.resume()
        assert again is not None and again.step == 6
    with Run("runs/other", model=model) as other:
        assert other.folder == Path("runs/other")


def test_what_several_trained_is_started_by_torchrun_and_what_was_typed_in_not(
    program: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    train("several")
    record = Path("several/run.json")
    record.write_text(record.read_text().replace('"processes": 1', '"processes": 2'))
    told = cairn("resume", "several", "--dry-run").stdout.replace("\n", " ")
    assert "-m torch.distributed.run --standalone --nproc-per-node=2 --no-python" in told
    record.write_text(record.read_text().replace('"processes": 2', '"processes": 2000'))
    assert "more than one machine starts" in str(cairn("resume", "several").exception)
    train("built", recipe=TrainingRecipe(Kind.BUILTIN, "rules", arguments=("rules", "--help")))
    assert cairn("resume", "built").exit_code == 0
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)
    train("typed")
    assert "typed in" in str(cairn("resume", "typed").exception)


LOOP = """
import os, sys, torch
from cairn.training import Run
torch.set_num_threads(1)
torch.manual_seed(1)
model = torch.nn.Linear(3, 3)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
with Run("run", model=model, optimizer=optimizer) as run:
    back = run.resume()
    for step in range(back.step if back else 0, 12):
        loss = (model(torch.rand(2, 3)) - 1).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run.log(step + 1, loss=loss)
        if step % 5 == 4:
            run.save(step + 1)
        if step == 7 and not back and len(sys.argv) > 1:
            run.wait()
            os.kill(os.getpid(), 9)
"""


@pytest.mark.slow
def test_a_killed_run_is_resumed_to_the_bit_by_the_command(place: Path) -> None:
    for folder in ("straight", "killed"):
        Path(folder).mkdir()
        Path(folder, "loop.py").write_text(LOOP)
    subprocess.run([sys.executable, "loop.py"], cwd="straight", check=True, timeout=120)
    died = subprocess.run([sys.executable, "loop.py", "die"], cwd="killed", timeout=120)
    assert died.returncode == -9
    assert told("show", "killed/run")["status"] == "interrupted"
    resumed = cairn("resume", "killed/run")
    assert resumed.exit_code == 0, resumed.output
    found = told("compare", "straight/run", "killed/run")
    assert found["partings"]["loss"] == [{"common": 12, "first_step": None, "largest": 0.0}]
    names = {row["name"] for row in found["unlike"]}
    assert names == {"arguments", "resumed from"}
