"""A loop of accelerate, and one of plain loaders, stopped in the middle and gone on with."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch.utils.data import DataLoader, IterableDataset

from cairn.errors import RequestError
from cairn.training import resume, save
from cairn.training.loops.accelerate import Batches, parts_of
from tests.training.loop import digest, seed_all
from tests.training.loops.tiny import SAMPLES, Samples, Tiny

PER_EPOCH = SAMPLES // 4
MICRO = 3 * PER_EPOCH


class Loop:
    """Three epochs of micro-batches, two to a step where accelerate runs the loop."""

    def __init__(self, seed: int, *, accelerated: bool, workers: int = 0) -> None:
        seed_all(seed)
        self.accelerator = accelerator = Accelerator(
            cpu=True, gradient_accumulation_steps=2 if accelerated else 1
        )
        model = Tiny()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.9)
        loader = DataLoader(Samples(), 4, shuffle=True, num_workers=workers)
        if accelerated:
            made = accelerator.prepare(model, optimizer, loader, scheduler)
            model, optimizer, loader, scheduler = made
        self.model, self.optimizer, self.scheduler = model, optimizer, scheduler
        self.batches = Batches(loader)
        self.parts = parts_of(
            accelerator,
            model=model,
            optimizer=optimizer,
            scheduler=scheduler,
            batches=self.batches,
        )
        self.losses: dict[int, str] = {}

    def run(self, done: int = 0, stop: int = MICRO, folder: Path | None = None) -> None:
        while self.batches.epoch < 3:
            for batch in self.batches:
                with self.accelerator.accumulate(self.model):
                    loss = self.model(**batch)["loss"]
                    self.accelerator.backward(loss)
                    self.optimizer.step()
                    self.scheduler.step()
                    self.optimizer.zero_grad()
                done += 1
                self.losses[done] = loss.item().hex()
                if done == stop and folder is not None:
                    micro = 0 if self.accelerator.sync_gradients else 1
                    save(folder, done, accumulated=micro, code=folder, **self.parts)
                    return

    def outcome(self, since: int) -> dict[str, Any]:
        states = {name: digest(part.state_dict()) for name, part in self.parts.items()}
        losses = {n: loss for n, loss in self.losses.items() if n > since}
        return {**states, "losses": losses, "random": float(torch.rand(1)).hex()}


@pytest.fixture(autouse=True)
def no_accelerator_before() -> Iterator[None]:
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def straight(since: int, **otherwise: Any) -> dict[str, Any]:
    whole = Loop(3, **otherwise)
    whole.run()
    return whole.outcome(since)


def went_on(folder: Path, stop: int, **otherwise: Any) -> dict[str, Any]:
    Loop(3, **otherwise).run(stop=stop, folder=folder)
    AcceleratorState._reset_state(reset_partial_state=True)
    later = Loop(99, **otherwise)
    back = resume(folder, code=folder, **later.parts)
    assert back.is_exact
    later.run(done=back.step)
    return later.outcome(stop)


# In the middle of an epoch, of a step, at an epoch's end, at the last batch of a later one.
@pytest.mark.parametrize("stop", [2, 3, PER_EPOCH, 2 * PER_EPOCH, 2 * PER_EPOCH + 1])
@pytest.mark.parametrize("accelerated", [True, False])
def test_a_loop_goes_on_to_the_bit(stop: int, accelerated: bool, tmp_path: Path) -> None:
    found = went_on(tmp_path, stop, accelerated=accelerated)
    assert found == straight(stop, accelerated=accelerated)


@pytest.mark.slow
def test_workers_change_nothing(tmp_path: Path) -> None:
    found = went_on(tmp_path, 7, accelerated=True, workers=1)
    assert found == straight(7, accelerated=True, workers=1)
    assert found["losses"] == straight(7, accelerated=True)["losses"]


def test_what_accelerate_itself_keeps_would_not_do(tmp_path: Path) -> None:
    """Why there is more here: its own way, in the middle of an epoch, has other dropout."""
    Loop(3, accelerated=True).run(stop=7, folder=tmp_path)
    AcceleratorState._reset_state(reset_partial_state=True)
    later = Loop(99, accelerated=True)
    resume(tmp_path, code=tmp_path, **later.parts)
    later.batches._is_resumed = False  # the random numbers stay as the loader left them
    later.run(done=7)
    assert later.outcome(7)["losses"] != straight(7, accelerated=True)["losses"]


def test_another_number_of_batches_is_refused(tmp_path: Path) -> None:
    batches = Batches(DataLoader(Samples(), 4, shuffle=True))
    save(tmp_path, 1, batches=batches)
    other = Batches(DataLoader(Samples(), 5, shuffle=True))
    with pytest.raises(RequestError, match="makes 4 batches and made 5"):
        resume(tmp_path, batches=other)


class Stream(IterableDataset[int]):
    def __iter__(self) -> Iterator[int]:
        yield from range(3)


def test_streams_are_refused() -> None:
    with pytest.raises(RequestError, match="cannot be had again"):
        Batches(DataLoader(Stream()))
