"""The loop goes on to the bit, chooses the best, and stops before a number that is none."""

import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from cairn.domain import RunOrders, RunRecord, RunStatus
from cairn.domain.finetuning import Method, Schedule
from cairn.errors import ConflictError, InexactError, IntegrityError, RequestError
from cairn.formats import FileSource
from cairn.formats.training_metrics import read_points
from cairn.formats.training_run import ORDERS, orders_text, read_run
from cairn.training import capture, steps
from cairn.training.finetuning import descent, loop
from tests.training.finetuning.work import done

SHORT: dict[str, Any] = {"steps": 12, "evaluate_every": 4, "learning_rate": 0.01}


def bits(out: Path) -> dict[str, bytes]:
    found = load_file(next(out.glob("*model.safetensors")))
    return {name: tensor.numpy().tobytes() for name, tensor in found.items()}


def record(out: Path) -> RunRecord:
    with FileSource(out / "run" / "run.json") as source:
        return read_run(source)


def logged(out: Path) -> list[Any]:
    with FileSource(out / "run" / "metrics.jsonl") as source:
        return [(one.step, one.epoch, one.values) for one in read_points(source)]


@pytest.mark.parametrize("stop", [6, 8])
def test_what_was_stopped_goes_on_to_the_bit(
    stop: int, bert: Path, reviews: Path, tmp_path: Path
) -> None:
    straight, told = done(bert, reviews, tmp_path / "straight", accumulate=2, **SHORT)
    first, before = done(bert, reviews, tmp_path / "cut", accumulate=2, stop_after=stop, **SHORT)
    assert first["is_interrupted"] and not (tmp_path / "cut" / "results.json").exists()
    assert record(tmp_path / "cut").status is RunStatus.INTERRUPTED
    again, after = done(bert, reviews, tmp_path / "cut", accumulate=2, **SHORT)
    assert [one.step for one in after] == list(range(stop + 1, 13))
    assert [one.loss for one in (*before, *after)] == [one.loss for one in told]
    assert {**again, "name": ""} == {**straight, "name": ""}
    assert bits(tmp_path / "cut") == bits(tmp_path / "straight")
    assert done(bert, reviews, tmp_path / "cut", accumulate=2, **SHORT)[1] == []  # it is over
    run = record(tmp_path / "cut")
    assert run.status is RunStatus.ENDED and run.recipe.arguments[0] == "finetune"
    assert [one.from_step for one in run.sessions] == [None, stop]
    assert logged(tmp_path / "cut") == logged(tmp_path / "straight") != []


def test_the_best_step_is_kept_and_chosen(
    bert: Path, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accuracies = iter((0.5, 0.9, 0.9, 0.2, 0.3, 1.0))

    def measured(*_: Any) -> dict[str, float]:
        return {"eval_loss": 1.0, "eval_accuracy": next(accuracies)}

    monkeypatch.setattr(loop, "evaluate", measured)
    recipe = {"method": Method.FULL, "steps": 12, "evaluate_every": 2, "patience": 3}
    results, _ = done(bert, reviews, tmp_path / "out", **recipe)
    assert (results["step"], results["chosen_step"]) == (10, 6), "three brought nothing better"
    assert results["measured"]["eval_accuracy"] == 0.9
    assert steps(tmp_path / "out" / "run") == [6, 8, 10]
    kept = load_file(tmp_path / "out" / "run" / "step-6" / "model.safetensors")
    written = load_file(tmp_path / "out" / "model.safetensors")
    assert all((kept[name] == tensor).all() for name, tensor in written.items())


@pytest.fixture
def falling(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is measured first is the best."""
    accuracies = iter((0.9, 0.5, 0.3))

    def measured(*_: Any) -> dict[str, float]:
        return {"eval_loss": 1.0, "eval_accuracy": next(accuracies)}

    monkeypatch.setattr(loop, "evaluate", measured)


def test_a_best_step_that_is_not_here_is_told_and_forgotten(
    falling: None, bert: Path, reviews: Path, tmp_path: Path
) -> None:
    short = {"steps": 6, "evaluate_every": 2}
    done(bert, reviews, tmp_path / "out", stop_after=5, **short)
    shutil.rmtree(tmp_path / "out" / "run" / "step-2")
    with pytest.warns(UserWarning, match="step 2, the best so far, is not in"):
        results, _ = done(bert, reviews, tmp_path / "out", **short)
    assert (results["chosen_step"], results["measured"]["eval_accuracy"]) == (6, 0.3)


def test_the_best_step_is_read_where_orders_had_the_run_written(
    falling: None, bert: Path, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, into = tmp_path / "out", tmp_path / "again"
    monkeypatch.setenv(ORDERS, orders_text(RunOrders(str(out / "run"), str(into))))
    results, _ = done(bert, reviews, out, steps=6, evaluate_every=2)
    assert results["chosen_step"] == 2 and 2 in steps(into)


def test_a_run_does_not_go_on_on_a_device_of_another_kind(
    bert: Path, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(capture, "device_kinds", lambda _: "cuda")
        done(bert, reviews, tmp_path / "out", stop_after=2, **SHORT)
    session = record(tmp_path / "out").sessions[0]
    assert session.recipe.arguments[-2:] == ("--device", "cpu")
    assert session.environment["device"] == "cpu", "that of the model's parameters"
    with pytest.raises(InexactError, match="device was 'cuda' and is 'cpu'"):
        done(bert, reviews, tmp_path / "out", **SHORT)


@pytest.mark.parametrize(
    ("accuracies", "chosen"), [((math.nan, 0.5, 0.2), 4), ((math.nan, math.inf, math.nan), 6)]
)
def test_a_measure_that_is_no_number_is_never_the_best(
    accuracies: tuple[float, ...],
    chosen: int,
    bert: Path,
    reviews: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = iter(accuracies)
    monkeypatch.setattr(
        loop, "evaluate", lambda *_: {"eval_loss": math.nan, "eval_accuracy": next(said)}
    )
    results, _ = done(bert, reviews, tmp_path / "out", steps=6, evaluate_every=2)
    assert results["chosen_step"] == chosen
    assert results["measured"] == ({"eval_accuracy": 0.5} if chosen == 4 else {})


def test_a_loss_that_is_no_number_stops_with_advice(
    bert: Path, reviews: Path, tmp_path: Path
) -> None:
    wild = {"learning_rate": 1e30, "clip": 0.0, "warmup": 0.0, "save_every": 1}
    with pytest.raises(RequestError, match=r"is (nan|inf) at step \d+; step \d+ is kept.*lower"):
        done(bert, reviews, tmp_path / "out", method=Method.FULL, **{**SHORT, **wild})


ENDED_ON_CPU = RuntimeError(
    "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you"
    " tried to allocate 40 bytes. Error code 12 (Cannot allocate memory)"
)


@pytest.mark.parametrize(
    "ended", [torch.OutOfMemoryError("CUDA out of memory."), ENDED_ON_CPU, MemoryError()]
)
def test_where_memory_ends_the_last_step_is_saved_and_what_takes_less_is_said(
    ended: Exception, bert: Path, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short: dict[str, Any] = {**SHORT, "steps": 4, "batch_size": 4}
    done(bert, reviews, tmp_path / "straight", **short)
    moved, calls = descent.moved, iter(range(100))

    def full_at_last(*given: Any) -> Any:
        if next(calls) == 3:
            torch.rand(3)  # has drawn something before it broke
            raise ended
        return moved(*given)

    with monkeypatch.context() as short_of_memory:
        short_of_memory.setattr(descent, "moved", full_at_last)
        told = r"memory for this; step 3 is kept in .*run\. Try a --batch-size below 4 .*"
        with pytest.raises(RequestError, match=told + "--gradient-checkpointing, --method qlora"):
            done(bert, reviews, tmp_path / "out", **short)
    assert record(tmp_path / "out").status is RunStatus.FAILED
    done(bert, reviews, tmp_path / "out", **short)
    assert bits(tmp_path / "out") == bits(tmp_path / "straight")


def test_memory_that_ends_before_anything_was_learnt_is_said(
    bert: Path, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object) -> None:
        raise ENDED_ON_CPU

    monkeypatch.setattr(descent, "moved", no_room)
    with pytest.raises(RequestError, match=r"nothing was saved before\. Try .*, --method lora, "):
        done(bert, reviews, tmp_path / "out", method=Method.FULL, **SHORT)


def test_a_damaged_checkpoint_says_what_to_delete(
    bert: Path, reviews: Path, tmp_path: Path
) -> None:
    short: dict[str, Any] = {**SHORT, "save_every": 1}
    done(bert, reviews, tmp_path / "out", stop_after=3, **short)
    newest = tmp_path / "out/run/step-3"
    whole = (newest / "model.safetensors").read_bytes()
    (newest / "model.safetensors").write_bytes(whole[:-40])
    told = r"step-3 is damaged \(.*\): delete this folder, and the same command goes on from step 2"
    with pytest.raises(IntegrityError, match=told):
        done(bert, reviews, tmp_path / "out", **short)
    (newest / "checkpoint.json").write_text("{")
    with pytest.raises(IntegrityError, match=told):
        done(bert, reviews, tmp_path / "out", **short)
    shutil.rmtree(newest)
    assert done(bert, reviews, tmp_path / "out", **short)[1][0].step == 3


def test_a_folder_is_of_one_recipe(bert: Path, reviews: Path, tmp_path: Path) -> None:
    done(bert, reviews, tmp_path / "out", stop_after=1, **SHORT)
    with pytest.raises(ConflictError, match="another seed, rank"):
        done(bert, reviews, tmp_path / "out", seed=1, rank=4, **SHORT)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "precious").write_text("x")
    with pytest.raises(ConflictError, match="holds other files"):
        done(bert, reviews, tmp_path / "other", **SHORT)


def test_a_run_goes_on_with_the_base_it_began_with(
    bert: Path, reviews: Path, tmp_path: Path
) -> None:
    base = shutil.copytree(bert, tmp_path / "base")
    done(base, reviews, tmp_path / "out", stop_after=1, **SHORT)
    tensors = load_file(base / "model.safetensors")
    save_file({name: one + 1 for name, one in tensors.items()}, base / "model.safetensors")
    with pytest.raises(ConflictError, match=r"other weights of .*base: model.safetensors differ: "):
        done(base, reviews, tmp_path / "out", **SHORT)


@pytest.mark.parametrize(
    ("schedule", "half"), [("linear", 0.5), ("cosine", 0.5), ("constant", 1.0)]
)
def test_the_rate_goes_up_and_down(schedule: str, half: float) -> None:
    from cairn.domain.finetuning import FineTuning, TaskName
    from cairn.training.finetuning.schedules import scheduler

    recipe = FineTuning(
        "base", "data", TaskName.TEXT_CLASSIFICATION, schedule=Schedule(schedule), warmup=0.2
    )
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduled = scheduler(optimizer, recipe, 10)
    rates = []
    for _ in range(10):
        rates.append(scheduled.get_last_lr()[0])
        optimizer.step()
        scheduled.step()
    assert rates[:3] == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert rates[6] == pytest.approx(half)
