"""PPO and DQN go on to the bit, their environments in the middle of an episode."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecNormalize

from cairn.errors import RequestError
from cairn.training import Run, resume, save, steps
from cairn.training.loops.stable_baselines import Saving, parts_of
from tests.architecture.checkout import ROOT
from tests.training.loop import digest, seed_all

TOTAL = 192


def ppo(seed: int) -> PPO:
    environments = VecNormalize(DummyVecEnv([lambda: gymnasium.make("CartPole-v1")] * 2))
    return PPO(
        "MlpPolicy",
        environments,
        n_steps=16,
        batch_size=16,
        n_epochs=2,
        seed=seed,
        device="cpu",
        learning_rate=lambda left: 1e-3 * left,
        policy_kwargs={"net_arch": [8]},
    )


def dqn(seed: int) -> DQN:
    return DQN(
        "MlpPolicy",
        "CartPole-v1",
        buffer_size=100,
        learning_starts=20,
        batch_size=8,
        seed=seed,
        train_freq=4,
        target_update_interval=20,
        device="cpu",
        policy_kwargs={"net_arch": [8]},
    )


AGENTS = {"ppo": ppo, "dqn": dqn}


def outcome(agent: BaseAlgorithm) -> dict[str, Any]:
    """Networks, optimizer, the last observation, where the environments stand, random numbers."""
    found = {
        name: digest(part.state_dict())
        for name, part in parts_of(agent).items()
        if name.startswith("policy")
    }
    found["observation"] = np.asarray(agent._last_obs).tobytes().hex()
    found["carts"] = str([env.unwrapped.state for env in agent.get_env().unwrapped.envs])
    episodes = [(one["r"], one["l"]) for one in agent.ep_info_buffer or ()]  # "t" is a time of day
    found["episodes"] = str(episodes)
    found["random"] = [float(torch.rand(1)).hex(), float(np.random.random()).hex()]
    return found


class Death(BaseCallback):
    """Kills the process in the middle of a rollout after the one that was saved."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run

    def _on_step(self) -> bool:
        if self.num_timesteps > 110:
            self.run.wait()
            os.kill(os.getpid(), signal.SIGKILL)
        return True


def straight(name: str) -> dict[str, Any]:
    return outcome(AGENTS[name](seed=3).learn(TOTAL))


def go_on(name: str, folder: Path) -> dict[str, Any]:
    seed_all(9)
    agent = AGENTS[name](seed=8)
    with Run(folder, code=folder, **parts_of(agent)) as run:
        back = run.resume()
        assert back is not None
        assert back.is_exact
        agent.learn(TOTAL - agent.num_timesteps, reset_num_timesteps=False)
    return outcome(agent)


@pytest.mark.parametrize("name", AGENTS)
def test_an_agent_goes_on_to_the_bit(name: str, tmp_path: Path) -> None:
    agent = AGENTS[name](seed=3)
    with Run(tmp_path, code=tmp_path, **parts_of(agent)) as run:
        agent.learn(TOTAL, callback=Saving(run, every=96))
    assert steps(tmp_path) == [96]
    assert go_on(name, tmp_path) == straight(name)


def main() -> None:
    name, folder = sys.argv[1], Path(sys.argv[2])
    torch.set_num_threads(1)
    if not steps(folder):
        agent = AGENTS[name](seed=3)
        with Run(folder, code=folder, **parts_of(agent)) as run:
            agent.learn(TOTAL, callback=[Saving(run, every=96), Death(run)])
    print(json.dumps(go_on(name, folder)))


@pytest.mark.slow
@pytest.mark.parametrize("name", AGENTS)
def test_a_killed_agent_goes_on_in_a_new_process(name: str, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "tests.training.loops.test_stable_baselines",
        name,
        str(tmp_path),
    ]
    died, went_on = (
        subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
        for _ in range(2)
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert went_on.returncode == 0, went_on.stderr
    assert json.loads(went_on.stdout) == straight(name)


@pytest.mark.parametrize("forgotten", ["agent", "environments", "policy_optimizer"])
def test_forgetting_any_one_part_would_be_seen(forgotten: str, tmp_path: Path) -> None:
    agent = AGENTS["dqn"](seed=3)
    with Run(tmp_path, **parts_of(agent)) as run:
        agent.learn(TOTAL, callback=Saving(run, every=96))
    other = AGENTS["dqn"](seed=8)
    other.learn(4)  # so that there is something to have instead
    parts = parts_of(other)
    before = parts[forgotten].state_dict()
    resume(tmp_path, **parts)
    parts[forgotten].load_state_dict(before)
    other.learn(max(4, TOTAL - other.num_timesteps), reset_num_timesteps=False)
    assert outcome(other) != straight("dqn")


def test_environments_built_otherwise_are_told(tmp_path: Path) -> None:
    agent = ppo(seed=3)
    agent.learn(32)
    save(tmp_path, 32, **parts_of(agent))
    plain = PPO(
        "MlpPolicy",
        DummyVecEnv([lambda: gymnasium.make("CartPole-v1")] * 2),
        n_steps=16,
        batch_size=16,
        device="cpu",
        policy_kwargs={"net_arch": [8]},
    )
    with pytest.raises(RequestError, match="a VecNormalize was saved where a DummyVecEnv is"):
        resume(tmp_path, **parts_of(plain))


class Unsayable(gymnasium.Wrapper):
    def __init__(self, env: gymnasium.Env) -> None:
        super().__init__(env)
        self.socket = object()


def test_an_environment_with_a_state_of_another_kind_is_refused_with_its_place(
    tmp_path: Path,
) -> None:
    agent = PPO("MlpPolicy", Unsayable(gymnasium.make("CartPole-v1")), n_steps=8, batch_size=8)
    with pytest.raises(RequestError, match=r"environments.*socket is a builtins.object"):
        save(tmp_path, 1, **parts_of(agent))


def test_environments_in_other_processes_are_refused(tmp_path: Path) -> None:
    agent = ppo(seed=1)
    agent.env = SubprocVecEnv.__new__(SubprocVecEnv)
    with pytest.raises(RequestError, match="a SubprocVecEnv cannot be looked into"):
        save(tmp_path, 1, **parts_of(agent))


def test_agents_that_draw_noise_before_a_rollout_are_refused(tmp_path: Path) -> None:
    agent = PPO("MlpPolicy", "Pendulum-v1", use_sde=True, n_steps=8, batch_size=8)
    with Run(tmp_path, **parts_of(agent)) as run, pytest.raises(RequestError, match="use_sde"):
        agent.learn(8, callback=Saving(run, every=8))


if __name__ == "__main__":
    main()
