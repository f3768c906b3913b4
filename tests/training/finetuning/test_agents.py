"""Agents go on learning: nothing of the base is unpickled, and a stop changes no bit."""

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stable_baselines3 import A2C, DQN, PPO

from cairn.domain.finetuning import FineTuning, Method, TaskName
from cairn.errors import RequestError
from cairn.training.finetuning import Watcher
from cairn.workflows.finetune import finetune
from cairn.workflows.finetune_tasks import task_for
from cairn.workflows.finetune_work import Place, Work

SMALL: dict[str, Any] = {
    "PPO": {"n_steps": 32, "batch_size": 16, "n_epochs": 2},
    "DQN": {"buffer_size": 200, "learning_starts": 20, "batch_size": 8},
}


def base_of(kind: Any, folder: Path, **settings: Any) -> Path:
    agent = kind("MlpPolicy", "CartPole-v1", device="cpu", seed=1, gamma=0.97, **settings)
    agent.save(folder / "base.zip")
    return folder / "base.zip"


def continued(
    base: Path, out: Path, steps: int, stop_at: int = 0, method: Method = Method.FULL, **more: Any
) -> dict[str, Any]:
    recipe = {"data": "CartPole-v1", **more}
    tuning = FineTuning(
        str(base),
        task=TaskName.REINFORCEMENT_LEARNING,
        method=method,
        steps=steps,
        save_every=32,
        **recipe,
    )
    asked = []

    def is_to_stop() -> bool:
        asked.append(1)
        return len(asked) == stop_at

    place = Place(base, str(base))
    return finetune(
        Work(tuning, place, Place(Path(), "CartPole-v1"), None, out),
        Watcher(is_to_stop=is_to_stop),
    )


@pytest.mark.parametrize("kind", [PPO, DQN])
def test_a_stopped_agent_goes_on_to_the_bit(kind: Any, tmp_path: Path) -> None:
    base = base_of(kind, tmp_path, **SMALL[kind.__name__])
    assert task_for(base) is TaskName.REINFORCEMENT_LEARNING
    straight = continued(base, tmp_path / "straight", 128)
    first = continued(base, tmp_path / "cut", 128, stop_at=2)
    assert first["is_interrupted"] and first["step"] < 128
    again = continued(base, tmp_path / "cut", 128)
    assert {**again, "name": ""} == {**straight, "name": ""}
    policies = []
    for name in ("straight", "cut"):
        with zipfile.ZipFile(tmp_path / name / "agent.zip") as saved:
            policies.append(saved.read("policy.pth"))
    assert policies[0] == policies[1]
    loaded = kind.load(tmp_path / "cut" / "agent.zip")
    assert loaded.gamma == 0.97, "settings are those of the base"
    assert loaded.predict(np.zeros(4, dtype=np.float32))[0] in (0, 1)


@pytest.mark.slow
def test_an_agent_gets_better(tmp_path: Path) -> None:
    agent = PPO("MlpPolicy", "CartPole-v1", device="cpu", seed=1, n_steps=256)
    agent.save(tmp_path / "base.zip")
    measured = continued(tmp_path / "base.zip", tmp_path / "out", 6_000)["measured"]
    assert measured["eval_mean_reward"] > 3 * measured["eval_base_reward"]


def test_a_pickle_in_the_base_is_left_alone(tmp_path: Path) -> None:
    """Settings that only a pickle says would run code when they are read."""
    trap = tmp_path / "ran"

    class Trap:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(trap),)

    agent = PPO("MlpPolicy", "CartPole-v1", device="cpu", **SMALL["PPO"])
    agent.trap = Trap()
    agent.save(tmp_path / "base.zip")
    continued(tmp_path / "base.zip", tmp_path / "out", 32)
    assert not trap.exists()


def test_what_does_not_go_together_is_said(tmp_path: Path) -> None:
    base = base_of(PPO, tmp_path, **SMALL["PPO"])
    with pytest.raises(RequestError, match="agents learn by full"):
        continued(base, tmp_path / "1", 32, method=Method.LORA)
    with pytest.raises(RequestError, match="does not fit Pendulum-v1"):
        continued(base, tmp_path / "2", 32, data="Pendulum-v1")
    with pytest.raises(RequestError, match="does not fit Nothing-v9"):
        continued(base, tmp_path / "3", 32, data="Nothing-v9")
    with pytest.raises(RequestError, match="names no environment"):
        continued(base, tmp_path / "4", 32, data="os:name")
    with pytest.raises(RequestError, match="an agent of A2C; PPO and DQN go on"):
        continued(base_of(A2C, tmp_path), tmp_path / "5", 32)
