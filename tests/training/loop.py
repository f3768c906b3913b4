"""A training loop over an epoch's end, alone or as a process that is killed and started anew.

python -m tests.training.loop FAMILY FOLDER [--die]: begins or resumes, prints what came of it.
"""

import hashlib
import json
import os
import random
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, Dataset

from cairn import training
from tests.training.families import FAMILIES, Batch, Family

SAMPLES, BATCH, STEPS, SAVED_AT = 16, 2, 14, 6
SEED = 7


class Samples(Dataset[Batch]):
    """The samples of a family."""

    def __init__(self, family: Family) -> None:
        self.family = family

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, index: training.SampleIndex) -> Batch:
        return self.family.sample(index)


class Loop:
    """Model, optimizer and the rest, and what became of each step."""

    def __init__(self, name: str, seed: int = SEED, workers: int = 0) -> None:
        seed_all(seed)
        self.family = FAMILIES[name]
        self.model = self.family.make().train()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3)
        self.scheduler = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, max_lr=1e-2, total_steps=STEPS
        )
        self.average = AveragedModel(self.model)
        # Grows every three steps: a scaler that forgot its count grows at other ones.
        self.scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=3)
        self.sampler = training.EpochSampler(SAMPLES, seed=SEED)
        self.loader = DataLoader(
            Samples(self.family), BATCH, sampler=self.sampler, num_workers=workers
        )
        self.losses: dict[int, str] = {}
        self.step = 0

    @property
    def parts(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "optimizer": self.optimizer,
            "scheduler": self.scheduler,
            "average": self.average,
            "scaler": self.scaler,
            "sampler": self.sampler,
        }

    def run(
        self,
        until: int = STEPS,
        *,
        before_step: Callable[["Loop"], None] = lambda _: None,
        after_step: Callable[["Loop"], None] = lambda _: None,
    ) -> None:
        while self.step < until:
            for batch in self.sampler.batches(self.loader):
                loss = self.family.loss(self.model, batch)
                loss = loss * (1 + 0.01 * random.random())  # Python's numbers count too
                self.scaler.scale(loss).backward()
                before_step(self)
                self.scaler.step(self.optimizer)
                self.scaler.update()
                self.scheduler.step()
                self.average.update_parameters(self.model)
                self.optimizer.zero_grad()
                self.step += 1
                self.losses[self.step] = loss.item().hex()
                after_step(self)
                if self.step == until:
                    return

    def save(self, folder: Path) -> None:
        # No repository, so that a commit while tests run makes no difference.
        training.save(folder, self.step, code=folder, **self.parts)

    def resume(self, folder: Path) -> training.Resumed:
        back = training.resume(folder, code=folder, **self.parts)
        self.step = back.step
        return back

    def outcome(self) -> dict[str, Any]:
        """The losses, and a digest of what each part is in the end."""
        states = {name: digest(part.state_dict()) for name, part in self.parts.items()}
        drawn = [random.random(), float(np.random.random()), float(torch.rand(1))]
        return {"losses": self.losses, **states, "random": [number.hex() for number in drawn]}


def seed_all(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def digest(state: Any) -> str:
    """One number for a state dict, every bit of it, by none of the code under test."""
    found = hashlib.sha256()

    def add(value: Any) -> None:
        found.update(type(value).__name__.encode())
        if isinstance(value, torch.Tensor):
            found.update(f"{value.dtype}{tuple(value.shape)}".encode())
            found.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        elif isinstance(value, Mapping):
            for key, item in value.items():
                found.update(repr(key).encode())
                add(item)
        elif isinstance(value, list | tuple):
            for item in value:
                add(item)
        else:
            found.update((value.hex() if isinstance(value, float) else repr(value)).encode())

    add(state)
    return found.hexdigest()


def after(outcome: dict[str, Any], step: int) -> dict[str, Any]:
    """The outcome with the losses of later steps only."""
    losses = {n: loss for n, loss in outcome["losses"].items() if int(n) > step}
    return {**outcome, "losses": losses}


def main() -> None:
    name, folder = sys.argv[1], Path(sys.argv[2])
    dies = "--die" in sys.argv
    torch.set_num_threads(1)
    loop = Loop(name, seed=SEED if dies else SEED + 1)
    if training.steps(folder):
        loop.resume(folder)

    def before_step(at: Loop) -> None:
        if dies and at.step == SAVED_AT:
            os.kill(os.getpid(), signal.SIGKILL)  # in the middle of the step after

    def after_step(at: Loop) -> None:
        if dies and at.step == SAVED_AT:
            at.save(folder)

    loop.run(before_step=before_step, after_step=after_step)
    print(json.dumps(loop.outcome()))


if __name__ == "__main__":
    main()
