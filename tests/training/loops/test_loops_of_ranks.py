"""The loops of other libraries on two ranks: stopped and gone on with, to the bit."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch.utils.data import DataLoader, DistributedSampler

from cairn.training import Run
from cairn.training.loops.accelerate import Batches, parts_of
from tests.training.loop import digest, seed_all
from tests.training.loops import test_lightning, test_transformers
from tests.training.loops.tiny import Samples, StoppedError, Tiny
from tests.training.ranks.processes import in_launched_ranks

pytestmark = pytest.mark.slow


def test_a_trainer_of_transformers(tmp_path: Path) -> None:
    def program() -> None:
        whole = test_transformers.straight(tmp_path)
        dist.barrier()
        # Three steps in an epoch: in its middle, and the last samples do not share out evenly.
        test_transformers.interrupted(tmp_path, 5)
        dist.barrier()
        assert test_transformers.outcome(test_transformers.resumed(tmp_path)) == whole

    in_launched_ranks(2, tmp_path / "ranks", program)


def test_a_trainer_of_lightning(tmp_path: Path) -> None:
    def fit(*arguments: Any, **named: Any) -> Any:
        sampler: Any = DistributedSampler(Samples(), 2, dist_rank(), seed=1)
        data = DataLoader(Samples(), 4, sampler=sampler)
        several = {"strategy": "ddp", "devices": 2, "use_distributed_sampler": False}
        return fit_alone(*arguments, **{**several, "data": data, **named})

    fit_alone = test_lightning.fit

    def program() -> None:
        test_lightning.fit = fit
        test_lightning.goes_on(tmp_path, 4)

    in_launched_ranks(2, tmp_path / "ranks", program)


def dist_rank() -> int:

    return int(os.environ["RANK"])


class Loop:
    """accelerate on several ranks; the last samples of an epoch do not share out evenly."""

    def __init__(self, seed: int) -> None:
        AcceleratorState._reset_state(reset_partial_state=False)
        accelerator = self.accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
        seed_all(seed)
        model = Tiny()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        loader = DataLoader(Samples(22), 4, shuffle=True)
        self.model, self.optimizer, loader = accelerator.prepare(model, optimizer, loader)
        self.batches = Batches(loader)
        seed_all(seed + accelerator.process_index)
        self.parts = parts_of(
            accelerator, model=self.model, optimizer=self.optimizer, batches=self.batches
        )
        self.losses: list[str] = []

    def run(self, folder: Path, stop: int | None = None) -> "Loop":
        with Run(folder, code=folder, **self.parts) as run:
            back = run.resume()
            assert back is None or back.is_exact
            step = back.step if back else 0
            while self.batches.epoch < 3:
                for batch in self.batches:
                    with self.accelerator.accumulate(self.model):
                        loss = self.model(**batch)["loss"]
                        self.accelerator.backward(loss)
                        self.optimizer.step()
                        self.optimizer.zero_grad()
                    self.losses.append(loss.item().hex())
                    if not self.accelerator.sync_gradients:
                        continue
                    step += 1
                    if step == stop:
                        raise StoppedError
                    if stop is not None:
                        run.save(step)
        return self

    def outcome(self, losses: int) -> list[Any]:
        states = [digest(part.state_dict()) for part in self.parts.values()]
        return [*states, self.losses[-losses:], float(torch.rand(1)).hex()]


# Two steps in an epoch of three batches for each rank.
@pytest.mark.parametrize("stop", [3, 4])
def test_a_loop_of_accelerate(stop: int, tmp_path: Path) -> None:
    def program() -> None:
        whole = Loop(3).run(tmp_path / "whole").outcome(3)
        with pytest.raises(StoppedError):
            Loop(3).run(tmp_path / "run", stop)
        dist.barrier()
        assert Loop(99).run(tmp_path / "run").outcome(3) == whole

    in_launched_ranks(2, tmp_path / "ranks", program)
