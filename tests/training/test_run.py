"""A run saves in the background: what it copied is what is written, one at a time, by rules."""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cairn.domain import Retention, RunOrders, RunStatus
from cairn.errors import RequestError, UnavailableError
from cairn.formats import FileSource
from cairn.formats.training_run import ORDERS, orders_text, read_run
from cairn.training import Run, folders, resume, run, steps


def parts() -> dict[str, Any]:
    model = nn.Linear(4, 4)
    return {"model": model, "optimizer": torch.optim.SGD(model.parameters(), momentum=0.9, lr=0.1)}


def train(made: dict[str, Any]) -> None:
    made["optimizer"].zero_grad()
    made["model"](torch.ones(2, 4)).square().sum().backward()
    made["optimizer"].step()


@contextmanager
def held_writer(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Nothing is written before the event is set."""
    go, write = threading.Event(), run.write

    def wait_then_write(*arguments: Any) -> Path:
        assert go.wait(20)
        return write(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(run, "write", wait_then_write)
        yield go
        go.set()


def test_what_is_written_is_the_state_of_the_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = parts()
    train(made)
    before = {name: tensor.clone() for name, tensor in made["model"].state_dict().items()}
    momentum = made["optimizer"].state[made["model"].weight]["momentum_buffer"].clone()
    with Run(tmp_path, **made) as running, held_writer(monkeypatch) as go:
        running.save(1, metrics={"loss": 2.0})
        train(made)  # goes on while the writer waits
        go.set()
    back = parts()
    assert resume(tmp_path, **back).metrics == {"loss": 2.0}
    for name, tensor in back["model"].state_dict().items():
        assert torch.equal(tensor, before[name])
        assert not torch.equal(tensor, made["model"].state_dict()[name])
    found = back["optimizer"].state[back["model"].weight]["momentum_buffer"]
    assert torch.equal(found, momentum)


def test_tied_weights_stay_tied_on_the_way(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    with Run(tmp_path, model=model) as running:
        for step in (1, 2):
            running.save(step)
    assert resume(tmp_path, model=model).step == 2


def test_at_most_one_checkpoint_is_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Run(tmp_path, **parts()) as running, held_writer(monkeypatch) as go:
        running.save(1)
        waiting = threading.Thread(target=running.save, args=(2,))
        waiting.start()
        waiting.join(0.1)
        assert waiting.is_alive()
        go.set()
        waiting.join(20)
        running.wait()
        assert running.steps() == [1, 2]


def full_disk(*_: Any) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("surfaces", [lambda r: r.save(2), Run.wait, Run.close, Run.resume])
def test_a_failed_write_is_told_at_the_next_occasion(
    surfaces: Callable[[Run], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = Run(tmp_path, **parts())
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full_disk)
        running.save(1)
        with pytest.raises(UnavailableError, match="step 1 could not be written"):
            surfaces(running)
    assert steps(tmp_path) == []
    running.close()


def test_after_a_failed_write_the_next_save_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = parts()
    with Run(tmp_path, **made) as running:
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", full_disk)
            running.save(1)
            with pytest.raises(UnavailableError):
                running.wait()
        running.save(1)
    assert resume(tmp_path, **made).step == 1


def test_rules_say_what_stays(tmp_path: Path) -> None:
    losses = {10: 3.0, 20: 1.0, 30: float("nan"), 40: 2.0, 50: 2.5, 60: 4.0}
    with Run(tmp_path, keep=Retention(last=2, every=30, best=1), **parts()) as running:
        for step, loss in losses.items():
            running.save(step, metrics={"loss": loss})
    assert steps(tmp_path) == [20, 30, 50, 60]
    with Run(tmp_path, keep=Retention(last=1, best=2), **parts()) as later:
        later.save(70, metrics={"loss": 0.5})  # knows the others by their records
    assert steps(tmp_path) == [20, 70]


def test_a_damaged_old_checkpoint_stays_and_stops_nothing(tmp_path: Path) -> None:
    rules = Retention(last=2)
    with Run(tmp_path, keep=rules, **parts()) as running:
        running.save(1)
        running.save(2)
    (tmp_path / "step-1/checkpoint.json").write_bytes(b"{")
    (tmp_path / "step-99").mkdir()
    with Run(tmp_path, keep=rules, **parts()) as later:
        for step in (3, 4, 5):
            later.save(step)
    assert steps(tmp_path) == [1, 4, 5, 99]


@pytest.mark.parametrize("removed", [0, 1, 2])
def test_a_kill_never_leaves_a_way_that_was_left_newer_than_the_new_one(
    removed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, gone = parts(), []
    with Run(tmp_path, **made) as running:
        for step in (1, 5, 6):
            running.save(step)
    remove = folders.remove_step

    def killed(found: folders.StepFolder) -> None:
        if len(gone) == removed:
            raise KeyboardInterrupt
        gone.append(found.step)
        remove(found)

    monkeypatch.setattr(folders, "remove_step", killed)
    with suppress(KeyboardInterrupt), Run(tmp_path, **made) as running:
        running.resume(step=1)
        running.save(2)
    assert gone == [6, 5][:removed]
    assert steps(tmp_path) == [[1, 5, 6], [1, 5], [1, 2]][removed]


def test_a_run_begins_where_nothing_is_and_goes_on_where_something_is(tmp_path: Path) -> None:
    with Run(tmp_path, **parts()) as running:
        assert running.resume() is None
        running.save(5, values={"epoch": 1})
        back = running.resume()  # waits for what is being written
        assert back is not None
        assert (back.step, back.values) == (5, {"epoch": 1})
    with pytest.raises(RequestError, match="is closed"):
        running.save(6)
    running.close()


def test_tensors_are_copied_however_they_lie(tmp_path: Path) -> None:
    values = {
        "turned": torch.arange(6.0).reshape(2, 3).T,
        "some": torch.arange(9)[::2],
        "conjugate": torch.tensor([1 + 2j]).conj(),
        "half": torch.arange(3, dtype=torch.bfloat16),
        "none": torch.empty(0, 3),
        "one": torch.tensor(True),
    }
    made = parts()
    with Run(tmp_path, **made) as running:
        running.save(1, values=values)
    back = resume(tmp_path, **made).values
    for name, tensor in values.items():
        assert torch.equal(back[name], tensor)
        assert back[name].dtype == tensor.dtype


def test_state_that_grows_finds_room(tmp_path: Path) -> None:
    made = parts()
    with Run(tmp_path, **made) as running:
        running.save(0)  # no momentum yet
        train(made)
        running.save(1)
    back = parts()
    resume(tmp_path, **back)
    assert len(back["optimizer"].state) == 2


def test_a_program_ends_where_whoever_started_it_wants_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    monkeypatch.setenv(ORDERS, orders_text(RunOrders(str(folder), until=2)))
    done = []
    with pytest.raises(SystemExit) as ended, Run(folder, **parts()) as training:
        for step in range(1, 9):
            training.log(step, loss=1.0)
            training.save(step)
            done.append(step)
    assert not ended.value.code
    assert done == steps(folder) == [1, 2]
    with FileSource(folder / "run.json") as source:
        assert read_run(source).status is RunStatus.ENDED
