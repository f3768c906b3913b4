"""Runs are pushed to a store and fetched from it, whatever happens on the way."""

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from torch import nn

from cairn.cli.main import app
from cairn.domain import Retention
from cairn.errors import (
    ConflictError,
    EntryNotFoundError,
    IntegrityError,
    LimitError,
    NamingError,
    NotFoundError,
    RequestError,
    UnavailableError,
    UntrustedDataError,
)
from cairn.training import Run, pushing, steps
from cairn.workflows import run_fetching
from cairn.workflows.run_fetching import placed_run
from cairn.workflows.run_places import StorePlace
from cairn.workflows.run_pushing import push_run


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    monkeypatch.chdir(tmp_path)


def cairn(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["run", *arguments])


def told(*arguments: str) -> Any:
    done = cairn(*arguments, "--json")
    assert done.exit_code == 0, done.exception
    return json.loads(done.stdout)


def train(folder: str, until: int, *, keep: Retention | None = None, **about: Any) -> None:
    torch.manual_seed(1)
    model = nn.Linear(40, 40)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    with Run(folder, keep=keep, model=model, optimizer=optimizer, **about) as run:
        back = run.resume()
        for step in range(back.step if back else 0, until):
            loss = (model(torch.rand(2, 40)) - 1).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            run.log(step + 1, loss=loss)
            run.save(step + 1)


def test_a_fetch_that_was_killed_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    train("here", 3)
    told("push", "here", "store:store/run")
    write, written = run_fetching._write, []

    def killed(file: Any, target: Path, progress: Any) -> None:
        write(file, target, progress)
        written.append(target)
        if len(written) == 9:  # the record, a whole checkpoint, and a file of the next
            raise KeyboardInterrupt

    with monkeypatch.context() as short:
        short.setattr(run_fetching, "_write", killed)
        cairn("fetch", "store:store/run", "there", "--all")
    assert len(steps("there")) == 1 and not Path("there/metrics.jsonl").exists()
    assert told("fetch", "store:store/run", "there", "--all")["steps"] == [1, 2, 3]
    same = ("run.json", "metrics.jsonl", "step-2/model.safetensors")
    assert all(Path("there", n).read_bytes() == Path("here", n).read_bytes() for n in same)


def test_a_run_is_pushed_fetched_on_another_machine_and_goes_on_to_the_bit() -> None:
    train("here", 3)
    sent = told("push", "here", "store:store/run")
    assert sent["sent"] == ["step-3", "step-2", "step-1"]
    assert told("push", "here", "store:store/run")["sent"] == []
    fetched = told("fetch", "store:store/run", "there")
    assert fetched["steps"] == [3]
    train("there", 5)
    train("straight", 5)
    found = told("compare", "straight", "there")
    assert found["partings"]["loss"] == [{"common": 5, "first_step": None, "largest": 0.0}]
    for one in ("model.safetensors", "optimizer.safetensors"):
        straight, resumed = (Path(run, "step-5", one).read_bytes() for run in ("straight", "there"))
        assert straight == resumed
    assert told("push", "there", "store:store/run")["sent"] == ["step-5", "step-4"]
    assert told("fetch", "store:store/run", "all", "--all")["steps"] == [1, 2, 3, 4, 5]
    assert told("fetch", "store:store/run", "one", "--step", "2")["steps"] == [2]
    assert isinstance(
        cairn("fetch", "store:store/run", "x", "--step", "9").exception, EntryNotFoundError
    )


def test_runs_in_a_store_are_listed_shown_and_compared() -> None:
    train("here", 2)
    told("push", "here", "store:store/a")
    train("other", 1)
    told("push", "other", "store:store/b")
    a, b = told("list", "store:store")
    assert (a["name"], a["steps"], b["name"], b["resume_point"]) == ("a", [1, 2], "b", 1)
    shown = told("show", "store:store/a")
    assert (shown["status"], shown["changed"]) == ("ended", None)
    assert told("compare", "here", "store:store/a")["unlike"] == []
    assert isinstance(cairn("list", "store:nothing").exception, NotFoundError)


def test_retention_removes_there_what_was_pushed_from_here_and_nothing_else() -> None:
    train("here", 2)
    told("push", "here", "store:store/run")
    told("fetch", "store:store/run", "there")
    train("there", 4, keep=Retention(last=1))
    assert steps("there") == [4]
    pushed = told("push", "there", "store:store/run")
    assert (pushed["sent"], pushed["removed"]) == (["step-4"], [])
    train("there", 6, keep=Retention(last=1))
    pushed = told("push", "there", "store:store/run")
    assert (pushed["sent"], pushed["removed"]) == (["step-6"], ["step-4"])
    assert told("fetch", "store:store/run", "all", "--all")["steps"] == [1, 2, 6]


def test_a_step_that_was_saved_again_takes_the_place_of_the_old_one() -> None:
    train("here", 2)
    told("push", "here", "store:store/run")
    model = nn.Linear(40, 40)
    with Run("here", model=model, optimizer=torch.optim.AdamW(model.parameters())) as run:
        run.resume(step=1)
        run.save(2)
    assert told("push", "here", "store:store/run")["sent"] == ["step-2.1"]
    told("fetch", "store:store/run", "there")
    files = [Path(run, "step-2.1/model.safetensors").read_bytes() for run in ("here", "there")]
    assert files[0] == files[1]


def test_another_run_and_a_way_that_was_left_are_not_overwritten() -> None:
    train("here", 1)
    train("other", 1)
    told("push", "here", "store:store/run")
    refused = cairn("push", "other", "store:store/run").exception
    assert isinstance(refused, ConflictError) and "has another run" in str(refused)
    told("fetch", "store:store/run", "there")
    train("there", 2)
    told("push", "there", "store:store/run")
    refused = cairn("push", "here", "store:store/run").exception
    assert isinstance(refused, ConflictError) and "went on elsewhere" in str(refused)
    assert isinstance(cairn("fetch", "store:store/run", "other").exception, ConflictError)


@pytest.mark.parametrize("ahead", ["steps", "sessions"])
def test_what_was_trained_here_since_is_not_overwritten_by_a_fetch(ahead: str) -> None:
    train("here", 1)
    told("push", "here", "store:store/run")
    if ahead == "sessions":
        train("here", 1)  # a start that did no step yet
    else:
        with Path("here/metrics.jsonl").open("a") as file:
            file.write('{"step":2,"seconds":1,"values":{"loss":0.5}}\n')
    before = {path: path.read_bytes() for path in Path("here").glob("*.json*")}
    refused = cairn("fetch", "store:store/run", "here").exception
    assert isinstance(refused, ConflictError) and "`cairn run push`" in str(refused)
    assert {path: path.read_bytes() for path in Path("here").glob("*.json*")} == before


@pytest.mark.parametrize(
    "odd", ["step-1/../../.bashrc", "step-1//home/u/.bashrc", "step-1/..", "step-1/a/b", "step-1/"]
)
def test_no_path_of_a_stranger_leads_out_of_a_checkpoint(odd: str) -> None:
    train("here", 1)
    told("push", "here", "store:store/run")

    class Strange(StorePlace):
        def files(self) -> dict[str, Any]:
            files = super().files()
            return {**files, odd: files["run.json"]}

    with pytest.raises(UntrustedDataError, match="cannot be one of a checkpoint"):
        placed_run(Strange(Path("store"), "run"))


def test_curves_of_a_stranger_take_no_more_than_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    train("here", 3)
    told("push", "here", "store:store/run")
    monkeypatch.setattr(run_fetching, "MOST_CURVES", (1, 3))
    assert len(placed_run(StorePlace(Path("store"), "run"))[0].points) == 3
    monkeypatch.setattr(run_fetching, "MOST_CURVES", (1, 2))
    refused = cairn("fetch", "store:store/run", "there").exception
    assert isinstance(refused, LimitError) and not Path("there").exists()


def test_the_best_checkpoint_comes_with_the_newest() -> None:
    model = nn.Linear(2, 2)
    with Run("here", keep=Retention(last=2, best=1), model=model) as run:
        for step, loss in enumerate((3.0, 1.0, 2.0, 4.0), 1):
            run.save(step, metrics={"loss": loss})
    told("push", "here", "store:store/run")
    assert told("fetch", "store:store/run", "there")["steps"] == [2, 4]


class Breaking(StorePlace):
    """A place that takes so many files, and then the connection is lost."""

    left = 8

    def put(self, files: Mapping[str, Any], gone: Iterable[str], message: str) -> None:
        for path, content in files.items():
            if not self.left:
                raise UnavailableError("the hub does not answer")
            self.left -= 1
            super().put({path: content}, (), message)


def test_a_lost_connection_leaves_no_half_checkpoint_and_the_next_push_goes_on() -> None:
    train("here", 2)
    with pytest.raises(UnavailableError):
        push_run(Path("here"), Breaking(Path("store"), "run"))
    assert "step-1/model.safetensors" in StorePlace.parse("store:store/run").files()
    assert told("fetch", "store:store/run", "there", "--all")["steps"] == [2]
    refused = cairn("fetch", "store:store/run", "there", "--step", "1").exception
    assert isinstance(refused, IntegrityError) and "checkpoint.json is missing" in str(refused)
    assert told("push", "here", "store:store/run")["sent"] == ["step-1"]


def test_a_first_push_that_was_broken_off_goes_on() -> None:
    train("here", 1)
    place = Breaking(Path("store"), "run")
    place.left = 1
    with pytest.raises(UnavailableError):
        push_run(Path("here"), place)
    assert [path.partition("/")[0] for path in place.files()] == ["step-1"]
    train("other", 1)
    refused = cairn("push", "other", "store:store/run").exception
    assert isinstance(refused, ConflictError) and "of no known run" in str(refused)
    assert told("push", "here", "store:store/run")["sent"] == ["step-1"]


class Pruning(StorePlace):
    """A place that is sent a file of a step as the run removes that step."""

    def put(self, files: Mapping[str, Any], gone: Iterable[str], message: str) -> None:
        if message == "step-2":
            path = next(iter(files))
            super().put({path: files[path]}, (), message)
            shutil.rmtree("here/step-2")
            raise FileNotFoundError(path)
        super().put(files, gone, message)


def test_what_is_pruned_while_it_is_sent_leaves_nothing_there() -> None:
    train("here", 2)
    pushed = push_run(Path("here"), Pruning(Path("store"), "run"))
    assert (pushed.sent, pushed.removed) == (("step-1",), ("step-2",))
    there = StorePlace.parse("store:store/run").files()
    assert "step-1/checkpoint.json" in there
    assert not [path for path in there if path.startswith("step-2/")]


def test_a_run_is_pushed_while_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Linear(2, 2)
    with Run("here", model=model) as run:
        run.log(1, loss=1.0)
        run.save(1)
        run.wait()
        told("push", "here", "store:store/run")
        told("fetch", "store:store/run", "there")
        assert told("show", "there")["status"] == "interrupted"  # nobody writes it there
        refused = cairn("fetch", "store:store/run", "here").exception
        assert isinstance(refused, ConflictError) and "is writing" in str(refused)


def test_places_that_mean_nothing_are_refused() -> None:
    train("here", 1)
    for text, error in (("store:", NamingError), ("here", NamingError), ("org/name", RequestError)):
        assert isinstance(cairn("push", "here", text).exception, error)
    assert isinstance(cairn("fetch", "store:nothing/run", "x").exception, EntryNotFoundError)
    for folder in ("nowhere", "store"):
        refused = cairn("push", folder, "store:store/run").exception
        assert isinstance(refused, EntryNotFoundError) and "has no run.json" in str(refused)


# Stands for the command: notes what it is asked, answers as the file says.
COMMAND = """
import json, pathlib, sys
with open("asked", "a") as asked:
    print(*sys.argv[1:], file=asked)
answer = pathlib.Path("answer")
if answer.exists():
    print("error: " + answer.read_text(), file=sys.stderr)
    sys.exit(8)
done = [p.name for p in pathlib.Path("here").glob("step-*")] if sys.argv[2] == "push" else []
print(json.dumps({"sent": done}))
"""


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pushing, "_CAIRN", ("-S", "-c", COMMAND))
    monkeypatch.setattr(pushing, "FIRST_RETRY_S", 0.05)


def test_training_pushes_what_it_saves_and_asks_first_whether_it_began(command: None) -> None:
    train("here", 3, push="org/name")
    asked = Path("asked").read_text().splitlines()
    assert asked[0] == "run fetch org/name here --json"
    assert asked[1:] and set(asked[1:]) == {"run push here org/name --background --json"}
    train("here", 4, push="org/name")
    assert Path("asked").read_text().splitlines()[len(asked)].startswith("run push")


def test_a_lost_connection_is_told_and_tried_again_and_training_goes_on(command: None) -> None:
    model = nn.Linear(2, 2)
    with Run("here", push="org/name", model=model) as run:
        Path("answer").write_text("the hub does not answer")
        with pytest.warns(
            UserWarning, match="has not got the checkpoints of steps 1: the hub does"
        ):
            run.save(1)
            run.wait()
            wait_for_lines(3)  # it is told once
        Path("answer").unlink()
    assert json.loads(Path("here/run.json").read_text())["status"] == "ended"


def test_what_stays_behind_is_told_with_the_command_that_sends_it(command: None) -> None:
    run = Run("here", push="org/name", model=nn.Linear(2, 2))
    Path("answer").write_text("the hub does not answer")
    with pytest.warns(UserWarning, match="`cairn run push here org/name` sends them"):
        run.save(1)
        run.close()
    assert steps("here") == [1]


def test_a_run_does_not_begin_anew_where_nobody_knows_whether_it_began(command: None) -> None:
    Path("answer").write_text("the hub does not answer")
    with pytest.raises(UnavailableError, match="whether the run began already is not known"):
        Run("here", push="org/name", model=nn.Linear(2, 2))


def wait_for_lines(count: int) -> None:
    import time

    until = time.monotonic() + 30
    while len(Path("asked").read_text().splitlines()) < count:
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.slow
def test_training_pushes_by_the_command_itself_and_goes_on_elsewhere(tmp_path: Path) -> None:
    train("here", 3, push="store:store/run")
    train("there", 5, push="store:store/run")
    assert steps("there") == [3, 4, 5]
    assert told("fetch", "store:store/run", "all", "--all")["steps"] == [1, 2, 3, 4, 5]
