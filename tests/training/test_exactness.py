"""Training straight through is training, dying and going on: losses and states to the bit."""

import json
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from cairn import training
from tests.architecture.checkout import ROOT
from tests.training.families import FAMILIES
from tests.training.loop import SAVED_AT, STEPS, Loop, after, seed_all

# Quick ones: a model of our own, one with tied weights, one with BatchNorm.
QUICK = ("linear", "gpt2", "resnet")


@cache
def straight(name: str) -> dict[str, Any]:
    loop = Loop(name)
    loop.run()
    return after(loop.outcome(), SAVED_AT)


def saved(name: str, folder: Path) -> None:
    loop = Loop(name)
    loop.run(SAVED_AT)
    loop.save(folder)


def resumed(name: str, folder: Path, **otherwise: Any) -> Loop:
    loop = Loop(name, seed=999, **otherwise)  # other weights, other random numbers
    back = loop.resume(folder)
    assert back.is_exact
    return loop


@pytest.mark.parametrize("name", QUICK)
def test_a_resumed_run_is_the_run_to_the_bit(name: str, tmp_path: Path) -> None:
    saved(name, tmp_path)
    loop = resumed(name, tmp_path)
    loop.run()
    assert loop.outcome() == straight(name)
    assert len(loop.losses) == STEPS - SAVED_AT


def test_workers_that_fetch_ahead_change_nothing(tmp_path: Path) -> None:
    saved("linear", tmp_path)
    loop = resumed("linear", tmp_path, workers=1)
    loop.run()
    assert loop.outcome() == straight("linear")


def process(name: str, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tests.training.loop", name, str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


def survives_a_kill(name: str, folder: Path) -> None:
    died = process(name, folder, "--die")
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert training.steps(folder) == [SAVED_AT]
    went_on = process(name, folder)
    assert went_on.returncode == 0, went_on.stderr
    assert json.loads(went_on.stdout) == json.loads(json.dumps(straight(name)))


def test_a_killed_process_goes_on_in_a_new_one(tmp_path: Path) -> None:
    survives_a_kill("linear", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "linear"])
def test_every_family_survives_a_kill(name: str, tmp_path: Path) -> None:
    survives_a_kill(name, tmp_path)


@pytest.mark.parametrize(
    "forgotten", ["model", "optimizer", "scheduler", "average", "scaler", "sampler", "random"]
)
def test_forgetting_any_one_part_would_be_seen(forgotten: str, tmp_path: Path) -> None:
    saved("linear", tmp_path)
    loop = resumed("linear", tmp_path)
    if forgotten == "random":
        seed_all(999)
    else:
        loop.parts[forgotten].load_state_dict(
            Loop("linear", seed=999).parts[forgotten].state_dict()
        )
    loop.run()
    assert loop.outcome() != straight("linear")


def accumulate(loop: Loop, batches: "DataLoader[Any]", done: int) -> None:
    """One step of four micro-batches, of which some are done."""
    for number, batch in enumerate(loop.sampler.batches(batches), start=done + 1):
        loop.family.loss(loop.model, batch).backward()
        if number == 4:
            loop.optimizer.step()
            return
        if number == 2 and not done:
            return


def test_a_step_goes_on_between_its_micro_batches(tmp_path: Path) -> None:
    whole = Loop("linear")
    accumulate(whole, whole.loader, 0)
    training.save(tmp_path, 0, accumulated=2, **whole.parts)
    accumulate(whole, whole.loader, 2)
    wanted = whole.outcome()

    half = Loop("linear", seed=999)
    back = training.resume(tmp_path, **half.parts)
    assert back.accumulated == 2
    accumulate(half, half.loader, back.accumulated)
    assert half.outcome() == wanted
    forgetful = Loop("linear", seed=999)
    training.resume(tmp_path, **forgetful.parts)
    forgetful.optimizer.zero_grad()
    accumulate(forgetful, forgetful.loader, 2)
    assert forgetful.outcome() != wanted


def test_another_order_of_parameters_is_no_other_optimizer(tmp_path: Path) -> None:
    saved("linear", tmp_path)
    loop = Loop("linear", seed=999)
    turned = torch.optim.AdamW(reversed(list(loop.model.parameters())), lr=1e-3)
    loop.optimizer = turned
    loop.scheduler = torch.optim.lr_scheduler.OneCycleLR(turned, max_lr=1e-2, total_steps=STEPS)
    loop.resume(tmp_path)
    loop.run()
    found, wanted = loop.outcome(), straight("linear")
    assert (found["losses"], found["model"]) == (wanted["losses"], wanted["model"])
