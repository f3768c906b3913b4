"""A Trainer that stopped goes on as if it had not, and one that saves is the one that does not."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Trainer, TrainerCallback, TrainingArguments

from cairn.domain import Retention
from cairn.errors import InexactError, RequestError
from cairn.training import steps
from cairn.training.loops.transformers import Saving
from tests.training.loop import digest
from tests.training.loops.tiny import Samples, StoppedError, Tiny

PER_EPOCH = 5
TOTAL = 2 * PER_EPOCH + 2


class Stop(TrainerCallback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == self.step:
            raise StoppedError


def trainer(folder: Path, *, seed: int = 3, **otherwise: Any) -> Trainer:
    settings = {
        "logging_steps": 3,
        "per_device_train_batch_size": 4,
        "eval_strategy": "epoch",
        "warmup_steps": 2,
        "max_steps": TOTAL,
        **otherwise,
    }
    arguments = TrainingArguments(
        str(folder / "own"),
        seed=seed,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        **settings,
    )
    torch.manual_seed(seed)
    return Trainer(Tiny(), arguments, train_dataset=Samples(), eval_dataset=Samples(3))


def outcome(trained: Trainer) -> dict[str, Any]:
    """Every number that was logged, weights and optimizer."""
    timed = ("runtime", "per_second", "train_loss")  # the last is of one call of `train`
    history = [
        {
            name: value.hex() if isinstance(value, float) else value
            for name, value in entry.items()
            if not any(word in name for word in timed)
        }
        for entry in trained.state.log_history
    ]
    return {
        "history": history,
        "model": digest(trained.model.state_dict()),
        "optimizer": digest(trained.optimizer.state_dict()),
        "scheduler": digest(trained.lr_scheduler.state_dict()),
        "random": float(torch.rand(1)).hex(),
    }


def straight(folder: Path, **otherwise: Any) -> dict[str, Any]:
    whole = trainer(folder, **otherwise)
    whole.add_callback(Saving(whole, folder / "whole", every=100, code=folder))
    whole.train()
    return outcome(whole)


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    torch.set_num_threads(1)  # before the fixture of each test
    return straight(tmp_path_factory.mktemp("straight"))


def interrupted(folder: Path, stop: int, every: int = 1, **otherwise: Any) -> None:
    first = trainer(folder, **otherwise)
    first.add_callback(Saving(first, folder / "run", every=every, code=folder))
    first.add_callback(Stop(stop))
    with pytest.raises(StoppedError):
        first.train()


def resumed(folder: Path, **otherwise: Any) -> Trainer:
    second = trainer(folder, seed=99, **otherwise)
    second.add_callback(Saving(second, folder / "run", every=4, code=folder))
    second.train()
    return second


# In the middle of an epoch, at its end, at the first step of the next one.
@pytest.mark.parametrize("stop", [3, PER_EPOCH, PER_EPOCH + 1])
def test_a_trainer_goes_on_to_the_bit(stop: int, tmp_path: Path, wanted: dict[str, Any]) -> None:
    interrupted(tmp_path, stop)
    assert steps(tmp_path / "run")[-1] == stop
    assert outcome(resumed(tmp_path)) == wanted


@pytest.mark.slow
def test_accumulated_steps_and_another_order_of_samples_go_on(tmp_path: Path) -> None:
    otherwise = {
        "gradient_accumulation_steps": 2,
        "accelerator_config": {"use_seedable_sampler": False},
        "dataloader_num_workers": 1,
        "max_steps": 7,
    }
    interrupted(tmp_path, 4, **otherwise)
    assert outcome(resumed(tmp_path, **otherwise)) == straight(tmp_path, **otherwise)


def test_saving_changes_no_number(tmp_path: Path) -> None:
    plain = trainer(tmp_path)
    plain.train_dataset = plain.eval_dataset = [Samples()[n] for n in range(20)]
    saving = trainer(tmp_path)
    saving.train_dataset = saving.eval_dataset = plain.train_dataset
    saving.add_callback(Saving(saving, tmp_path / "run", every=2))
    outcomes = []
    for one in (plain, saving):
        torch.manual_seed(3)
        one.train()
        outcomes.append(outcome(one))
    assert outcomes[0] == outcomes[1]


def test_what_was_logged_is_in_the_checkpoint_and_rules_say_what_stays(tmp_path: Path) -> None:
    one = trainer(tmp_path, max_steps=6)
    keep = Retention(last=1, every=3)
    one.add_callback(Saving(one, tmp_path / "run", every=2, keep=keep))
    one.train()
    assert steps(tmp_path / "run") == [6]
    losses = [entry["loss"] for entry in one.state.log_history if "loss" in entry]
    points = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").open()]
    curve = [point["values"]["loss"] for point in points if "loss" in point["values"]]
    assert losses == curve
    again = trainer(tmp_path, max_steps=6)
    again.add_callback(Saving(again, tmp_path / "run", every=2))
    again.train()  # there is nothing left to do
    assert again.state.global_step == 6
    assert digest(again.model.state_dict()) == digest(one.model.state_dict())


def test_a_checkpoint_of_another_model_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    interrupted(tmp_path, 3)
    other = trainer(tmp_path)
    other.model.layers[3] = torch.nn.Linear(8, 3)
    before = digest(other.model.state_dict())
    other.add_callback(Saving(other, tmp_path / "run", every=4, code=tmp_path))
    with pytest.raises(RequestError, match=r"layers\.3\.weight has the shape"):
        other.train()
    assert digest(other.model.state_dict()) == before


def test_another_environment_is_told_and_may_be_allowed(tmp_path: Path) -> None:
    interrupted(tmp_path, 3)
    other = trainer(tmp_path)
    other.add_callback(Saving(other, tmp_path / "run", every=4, data_digest="b", code=tmp_path))
    with pytest.raises(InexactError, match="data_digest was None and is 'b'"):
        other.train()
    other = trainer(tmp_path, max_steps=5)
    saving = Saving(
        other, tmp_path / "run", every=4, data_digest="b", code=tmp_path, allow={"data_digest"}
    )
    other.add_callback(saving)
    with pytest.warns(UserWarning, match="data_digest"):
        other.train()
    assert other.state.global_step == 5


def test_other_data_are_refused(tmp_path: Path) -> None:
    interrupted(tmp_path, 3)
    other = trainer(tmp_path)
    other.train_dataset = Samples(24)
    other.add_callback(Saving(other, tmp_path / "run", every=4, code=tmp_path))
    with pytest.raises(RequestError, match="the data have 24 samples and had 20"):
        other.train()


def test_saving_every_zero_steps_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="every 0 steps"):
        Saving(trainer(tmp_path), tmp_path, every=0)
