"""A Lightning run that stopped goes on as if it had not, over epoch ends, with validation."""

import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import pytest
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping
from torch.utils.data import DataLoader

from cairn.errors import RequestError
from cairn.training import steps
from cairn.training.loops.lightning import Saving
from tests.training.loop import digest, seed_all
from tests.training.loops.tiny import Samples, StoppedError, Tiny

PER_EPOCH = 5


class Module(lightning.LightningModule):
    def __init__(self, *, by_epoch: bool) -> None:
        super().__init__()
        self.tiny = Tiny()
        self.by_epoch = by_epoch
        self.losses: dict[int, str] = {}
        self.drawn = ""

    def training_step(self, batch: Any, number: int) -> torch.Tensor:
        loss = self.tiny(**batch)["loss"]
        self.losses[self.trainer.fit_loop.epoch_loop.total_batch_idx] = loss.item().hex()
        self.log("loss", loss)
        return loss

    def validation_step(self, batch: Any, number: int) -> None:
        torch.rand(1)  # draws, as validation may
        self.log("val_loss", self.tiny(**batch)["loss"])

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), lr=1e-2)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.9)
        interval = "epoch" if self.by_epoch else "step"
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": interval},
        }


class Stop(Callback):
    def __init__(self, batch: int) -> None:
        self.batch = batch

    def on_before_optimizer_step(self, trainer: Any, module: Any, optimizer: Any) -> None:
        if trainer.global_step == self.batch:
            raise StoppedError


def fit(
    folder: Path,
    seed: int,
    *callbacks: Callback,
    workers: int = 0,
    data: Any = None,
    **otherwise: Any,
) -> Any:
    seed_all(seed)
    module = Module(by_epoch=otherwise.pop("by_epoch", False))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = lightning.Trainer(
            max_epochs=3,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
            callbacks=[*callbacks, EarlyStopping("val_loss", patience=9)],
            **otherwise,
        )
        train = DataLoader(Samples(), 4, shuffle=True, num_workers=workers)
        trainer.fit(module, data or train, DataLoader(Samples(3)))
    module.drawn = float(torch.rand(1)).hex()
    return trainer


def outcome(trainer: Any, since: int) -> dict[str, Any]:
    module = trainer.lightning_module
    return {
        "losses": {n: loss for n, loss in module.losses.items() if n >= since},
        "model": digest(module.state_dict()),
        "optimizer": digest(trainer.optimizers[0].state_dict()),
        "scheduler": digest(trainer.lr_scheduler_configs[0].scheduler.state_dict()),
        "stopping": digest(trainer.callbacks[-1].state_dict()),
        "epochs": trainer.current_epoch,
        "random": module.drawn,
    }


def goes_on(folder: Path, stop: int, micro: int = 1, **otherwise: Any) -> None:
    run = folder / "run"
    with pytest.raises(StoppedError):
        fit(folder, 3, Saving(run, every=1, code=folder), Stop(stop), **otherwise)
    assert steps(run)[-1] == stop
    later = fit(folder, 99, Saving(run, every=4, code=folder), **otherwise)
    whole = fit(folder, 3, Saving(folder / "whole", every=100, code=folder), **otherwise)
    since = stop * micro
    assert outcome(later, since) == outcome(whole, since)
    assert len(outcome(later, since)["losses"]) >= 1


# In the middle of an epoch, at its end, at the first step of the next one.
@pytest.mark.parametrize(
    ("stop", "by_epoch"),
    [
        (3, False),
        (PER_EPOCH, True),
        pytest.param(PER_EPOCH, False, marks=pytest.mark.slow),
        pytest.param(PER_EPOCH + 1, True, marks=pytest.mark.slow),
    ],
)
def test_a_run_goes_on_to_the_bit(stop: int, by_epoch: bool, tmp_path: Path) -> None:
    goes_on(tmp_path, stop, by_epoch=by_epoch)


@pytest.mark.slow
def test_accumulated_steps_and_validation_within_an_epoch_go_on(tmp_path: Path) -> None:
    goes_on(tmp_path, 4, 2, accumulate_grad_batches=2, val_check_interval=2, workers=1)


def test_saving_changes_no_number(tmp_path: Path) -> None:
    data = DataLoader([Samples()[n] for n in range(20)], 4, shuffle=True)
    plain = fit(tmp_path, 3, data=data)
    saving = fit(tmp_path, 3, Saving(tmp_path / "run", every=2), data=data)
    assert outcome(plain, 0) == outcome(saving, 0)


def test_a_run_that_is_over_stays_as_it_is(tmp_path: Path) -> None:
    first = fit(tmp_path, 3, Saving(tmp_path / "run", every=2, code=tmp_path))
    again = fit(tmp_path, 99, Saving(tmp_path / "run", every=2, code=tmp_path))
    weights = [digest(one.lightning_module.state_dict()) for one in (first, again)]
    assert weights[0] == weights[1]
    assert again.lightning_module.losses == {}


def test_several_loaders_are_refused(tmp_path: Path) -> None:
    data = [DataLoader(Samples(), 4, shuffle=True) for _ in range(2)]
    with pytest.raises(RequestError, match="give the trainer one DataLoader"):
        fit(tmp_path, 3, Saving(tmp_path / "run", every=2), data=data)
