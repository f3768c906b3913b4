"""A checkpoint that does not fit, is damaged or would not be exact is told; nothing changes."""

import json
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cairn import training
from cairn.errors import (
    CairnError,
    EntryNotFoundError,
    InexactError,
    IntegrityError,
    MalformedError,
    RequestError,
    UnavailableError,
)
from cairn.training import record
from tests.training.loop import digest

Parts = dict[str, Any]


def made(width: int = 4, *, optimizer: type = torch.optim.AdamW) -> Parts:
    model = nn.Sequential(nn.Linear(3, width), nn.Linear(width, 2))
    chosen = optimizer(model.parameters(), lr=0.01)
    return {
        "model": model,
        "optimizer": chosen,
        "scheduler": torch.optim.lr_scheduler.StepLR(chosen, 3),
    }


def trained(**more: Any) -> Parts:
    parts = made(**more)
    parts["model"](torch.ones(1, 3)).sum().backward()
    parts["optimizer"].step()
    parts["scheduler"].step()
    return parts


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    for step in (10, 20):
        training.save(folder, step, metrics={"loss": 0.5}, **trained())
    return folder


def state_of(parts: Parts) -> list[str]:
    generators = [torch.get_rng_state()]
    return [digest(part.state_dict()) for part in parts.values()] + [digest(generators)]


def refused(folder: Path, parts: Parts, kind: type[CairnError], **how: Any) -> str:
    """The message of a resume that fails, after which everything is as before."""
    before = state_of(parts)
    with pytest.raises(kind) as error:
        training.resume(folder, **how, **parts)
    assert state_of(parts) == before
    return str(error.value)


def without(parts: Parts, name: str) -> Parts:
    return {key: part for key, part in parts.items() if key != name}


def renamed() -> Parts:
    model = nn.Sequential()
    model.add_module("first", nn.Linear(3, 4))
    model.add_module("1", nn.Linear(4, 2))
    return {**made(), "model": model}


def of_another_model() -> Parts:
    parts = made()
    parts["optimizer"] = torch.optim.AdamW(made()["model"].parameters())
    return parts


def in_two_groups() -> Parts:
    parts = made()
    first, second = parts["model"]
    parts["optimizer"] = torch.optim.AdamW(
        [{"params": first.parameters()}, {"params": second.parameters()}]
    )
    return parts


def tied() -> Parts:
    parts = made(width=3)
    parts["model"] = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    parts["model"][1].weight = parts["model"][0].weight
    return parts


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: made(width=5), r"model: 0.weight has the shape \(5, 3\) here, \(4, 3\) there"),
        (renamed, "the checkpoint lacks first.bias, first.weight and the model has no 0.bias"),
        (lambda: {**made(), "model": made()["model"].double()}, "0.weight is torch.float64 here"),
        (of_another_model, "optimizer: was saved for other parameters"),
        (in_two_groups, "has 2 groups of parameters, 1 were saved"),
        (lambda: made(optimizer=torch.optim.SGD), "is a SGD here, a AdamW was saved"),
        (lambda: without(made(), "scheduler"), "also has scheduler: hand it to resume"),
        (lambda: {**made(), "average": nn.Linear(1, 1)}, "has no average, only model, optimizer"),
    ],
    ids=lambda item: item if isinstance(item, str) else "",
)
def test_parts_that_do_not_fit_are_told_and_left_alone(
    build: Callable[[], Parts], said: str, run: Path
) -> None:
    message = refused(run, build(), RequestError)
    assert re.search(said, message), message
    assert "nothing was changed" in message


def test_weights_tied_on_one_side_only_are_told(tmp_path: Path) -> None:
    loose = {"model": nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))}
    training.save(tmp_path, 1, **loose)
    bound = {"model": tied()["model"]}
    assert "1.weight shares the elements of 0.weight here" in refused(tmp_path, bound, RequestError)


class Stubborn:
    """Takes a state only up to its first size, and says so after it has changed."""

    def __init__(self, size: int) -> None:
        self.size = self.most = size

    def state_dict(self) -> dict[str, int]:
        return {"size": self.size}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.size = state["size"]
        if self.size > self.most:
            raise ValueError(f"{self.size} is more than {self.most}")


def test_a_part_that_refuses_leaves_the_others_as_they_were(tmp_path: Path) -> None:
    training.save(tmp_path, 1, **trained(), data=Stubborn(4))
    parts = {**made(), "data": Stubborn(3)}
    message = refused(tmp_path, parts, RequestError)
    assert "data: does not take the saved state: 4 is more than 3" in message


class Moody(nn.Module):
    """Takes a state but for what it says of itself."""

    def get_extra_state(self) -> dict[str, int]:
        return {"mood": 1}

    def set_extra_state(self, state: dict[str, int]) -> None:
        raise ValueError(f"not {state}")


def test_a_model_that_refuses_is_not_said_to_be_as_it_was(tmp_path: Path) -> None:
    training.save(tmp_path, 1, first=nn.Linear(2, 2), second=Moody())
    with pytest.raises(RequestError, match=r"second: .*not .*; its weights.* are changed: build"):
        training.resume(tmp_path, first=nn.Linear(2, 2), second=Moody())


def test_another_number_of_samples_is_told(tmp_path: Path) -> None:
    training.save(tmp_path, 1, sampler=training.EpochSampler(10, seed=0))
    parts = {"sampler": training.EpochSampler(9, seed=0)}
    assert "have 9 samples and had 10" in refused(tmp_path, parts, RequestError)


# --- damage --------------------------------------------------------------------------------


def test_a_truncated_file_is_told_with_the_step_before(run: Path) -> None:
    file = run / "step-20/model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    message = refused(run, made(), IntegrityError)
    assert "bytes, " in message
    assert "were written" in message
    assert "step=10" in message
    assert training.resume(run, step=10, **made()).step == 10


@pytest.mark.parametrize("name", ["optimizer.safetensors", "checkpoint.json"])
def test_a_flipped_bit_is_told(name: str, run: Path) -> None:
    file = run / "step-20" / name
    data = bytearray(file.read_bytes())
    at = data.index(b'"step": 20') + 9 if name.endswith("json") else len(data) - 1
    data[at] ^= 1
    file.write_bytes(data)
    refused(run, made(), IntegrityError)


def test_a_missing_file_is_told(run: Path) -> None:
    (run / "step-20/random.safetensors").unlink()
    assert "random.safetensors is missing" in refused(run, made(), IntegrityError)


def test_without_a_whole_record_the_newest_step_that_has_one_is_named(run: Path) -> None:
    training.save(run, 15, **trained())
    (run / "step-15/checkpoint.json").unlink()
    file = run / "step-20/checkpoint.json"
    file.write_bytes(file.read_bytes()[:100])
    assert refused(run, made(), MalformedError).endswith("resume from before it with step=10")
    file.unlink()
    assert refused(run, made(), IntegrityError).endswith("resume from before it with step=10")


def test_a_newer_format_is_not_guessed_at(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "VERSION", 0)
    assert "reads up to 0" in refused(run, made(), UnavailableError)


def test_a_record_that_names_files_elsewhere_is_refused(run: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"x")
    file = run / "step-20/checkpoint.json"
    said = json.loads(file.read_text())
    del said["sha256"]
    said["files"]["../../secret"] = {"bytes": 1, "digest": "blake3:" + "0" * 64}
    file.write_text(json.dumps({**said, "sha256": record._digest(said)}))
    assert "../../secret" in refused(run, made(), MalformedError)


def changes(said: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every place in a document, with something else to stand there."""
    for other in (None, -1, "x", [], {}, {"$tensor": "x"}, {"$x": 1}):
        yield at, other
    items = (
        said
        if isinstance(said, dict)
        else dict(enumerate(said[:3] if isinstance(said, list) else ()))
    )
    for key, item in items.items():
        if key not in ("environment", "python"):
            yield from changes(item, (*at, key))


def test_a_record_that_somebody_changed_raises_nothing_else(tmp_path: Path) -> None:
    file = training.save(tmp_path, 1, accumulated=1, **trained()) / "checkpoint.json"
    said = json.loads(file.read_text())
    del said["sha256"]
    every = [change for change in changes(said) if change[0]]
    outcomes = []
    for at, other in random.Random(0).sample(every, 80):
        forged = json.loads(json.dumps(said))
        inner = forged
        for key in at[:-1]:
            inner = inner[key]
        inner[at[-1]] = other
        file.write_text(json.dumps({**forged, "sha256": record._digest(forged)}))
        parts = made()
        before = state_of(parts)
        try:
            training.resume(tmp_path, **parts)
        except CairnError as error:
            assert state_of(parts) == before, (at, other)
            outcomes.append(type(error))
    assert len(outcomes) > 40
    assert {MalformedError, RequestError} <= set(outcomes)


def test_nothing_saved_is_told(tmp_path: Path, run: Path) -> None:
    assert "no checkpoint is in" in refused(tmp_path / "none", made(), EntryNotFoundError)
    assert "the newest there: 10, 20" in refused(run, made(), EntryNotFoundError, step=15)
    assert training.steps(tmp_path / "none") == []


def test_the_folder_of_a_step_can_be_named_itself(run: Path) -> None:
    assert training.resume(run / "step-10", **made()).step == 10


def test_a_run_may_be_called_like_a_step(tmp_path: Path) -> None:
    training.save(tmp_path / "step-3", 7, **trained())
    assert training.resume(tmp_path / "step-3", **made()).step == 7


# --- not exact -----------------------------------------------------------------------------


def test_other_threads_are_told_and_gone_on_with_only_if_allowed(run: Path) -> None:
    torch.set_num_threads(2)
    message = refused(run, made(), InexactError)
    assert "step-20 is not exact because threads was 1 and is 2" in message
    assert "allow={'threads'}" in message
    with pytest.warns(UserWarning, match="not exact because threads"):
        back = training.resume(run, allow={"threads"}, **made())
    assert not back.is_exact
    assert [str(one) for one in back.differences] == ["threads was 1 and is 2"]


def test_what_is_allowed_does_not_allow_the_rest(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(2)
    monkeypatch.setattr(torch, "__version__", "9.0")
    with pytest.raises(InexactError) as refusal:
        training.resume(run, allow="threads", **made())
    assert len(refusal.value.differences) == 1
    assert refusal.value.differences[0].endswith("is '9.0'")
    with pytest.warns(UserWarning, match="torch was"):
        training.resume(run, allow=training.EVERYTHING, **made())


def test_other_data_and_flags_are_differences(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    try:
        with pytest.raises(InexactError) as refusal:
            training.resume(run, data_digest="sha256:00", **made())
    finally:
        torch.use_deterministic_algorithms(False)
    told = {one.partition(" ")[0] for one in refusal.value.differences}
    assert told == {"deterministic_algorithms", "variable_CUBLAS_WORKSPACE_CONFIG", "data_digest"}


def test_a_loss_that_is_no_number_points_to_the_step_before_it(run: Path) -> None:
    training.save(run, 30, metrics={"loss": torch.tensor(float("nan"))}, **trained())
    training.save(run, 40, metrics={"loss": float("inf")}, **trained())
    message = refused(run, made(), InexactError)
    assert "loss = inf" in message
    assert "step=20" in message
    assert training.resume(run, step=20, **made()).metrics == {"loss": 0.5}
    with pytest.warns(UserWarning, match="not finite"):
        training.resume(run, allow={"not finite"}, **made())


def test_one_of_several_processes_is_not_the_whole_run(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cairn.training import environment

    monkeypatch.setattr(environment, "_processes", lambda: 4)
    training.save(run, 30, **trained())
    assert "states of other processes was 4" in refused(run, made(), InexactError)
