"""Agents of Stable-Baselines3 go on learning in an environment: PPO and DQN.

A base is the `.zip` that the library saves. It is not handed to the library, which would unpickle:
its weights come as safetensors and its settings from JSON, and a new agent takes them. What only
a pickle says (schedules, the clip range, how often DQN trains) is as the library has it.
https://stable-baselines3.readthedocs.io/en/master/guide/save_format.html
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.error import Error as GymnasiumError
from stable_baselines3.common.callbacks import BaseCallback

from cairn.domain import Retention
from cairn.domain.finetuning import FineTuning, Method
from cairn.errors import RequestError
from cairn.training.finetuning.devices import seed_everything
from cairn.training.finetuning.progress import Progress, Watcher
from cairn.training.finetuning.story import CODE, NEWEST_KEPT, Ended, Story
from cairn.training.libraries import library
from cairn.training.loops.stable_baselines import parts_of
from cairn.training.run import Run
from cairn.training.tensors import read_tensors

EPISODES = 20  # of an evaluation
USUAL_STEPS = 10_000  # of the environment
_SAVES = 10  # of a run, where nobody says how many
# Plain settings that an agent is built with.
_SETTINGS: Mapping[str, Sequence[str]] = {
    "PPO": (
        *("n_steps", "batch_size", "n_epochs", "gamma", "gae_lambda", "ent_coef", "vf_coef"),
        *("max_grad_norm", "normalize_advantage", "target_kl"),
    ),
    "DQN": (
        *("buffer_size", "learning_starts", "batch_size", "tau", "gamma", "gradient_steps"),
        *("target_update_interval", "exploration_fraction", "max_grad_norm"),
        *("exploration_initial_eps", "exploration_final_eps"),
    ),
}
_ENVIRONMENT = re.compile(r"[\w./-]+\Z")  # `module:name` would import a module


@dataclass(frozen=True, slots=True)
class AgentBase:
    """An agent as data: the algorithm's name, its settings as JSON has them, its weights."""

    algorithm: str
    settings: Mapping[str, Any]
    weights: Path


def learn(
    recipe: FineTuning, base: AgentBase, story: Story, allow: Sequence[str], watcher: Watcher
) -> tuple[Any, Ended]:
    """The agent after `recipe.steps` steps of the environment that `recipe.data` names.

    Raises:
        RequestError: base, environment and method do not go together.
        InexactError: the run there would not go on to the bit.
    """
    agent = _made(recipe, base)
    before = _reward(agent, recipe)
    total = recipe.steps or USUAL_STEPS
    every = recipe.save_every or max(1, total // _SAVES)
    try:
        with Run(
            story.folder,
            keep=Retention(last=NEWEST_KEPT),
            name=story.name,
            seed=recipe.seed,
            base=story.base,
            data=story.data,
            recipe=story.started,
            data_digest=story.data_digest,
            code=CODE,
            **parts_of(agent),
        ) as run:
            run.resume(allow=set(allow))
            left = total - agent.num_timesteps
            if left > 0:
                told = Rollouts(run, every, total, watcher)
                agent.learn(left, reset_num_timesteps=False, callback=told)
                run.save(agent.num_timesteps)
    except _StoppedError:
        done = agent.num_timesteps
        return agent, Ended(done, total, done, {}, is_interrupted=True)
    done = agent.num_timesteps
    measured = {"eval_mean_reward": _reward(agent, recipe), "eval_base_reward": before}
    return agent, Ended(done, total, done, measured)


class _StoppedError(KeyboardInterrupt):
    """Whoever looks on wishes an end."""


class Rollouts(BaseCallback):
    """Saves where a rollout begins, tells how it goes, and stops there if that is asked."""

    def __init__(self, run: Run, every: int, total: int, watcher: Watcher) -> None:
        super().__init__()
        self._run, self._every, self._total, self._watcher = run, every, total, watcher
        self._saved_at = max(run.steps(), default=0)

    def _on_rollout_start(self) -> None:
        now = self.model.num_timesteps
        if now in (0, self._saved_at):
            return
        is_to_stop = self._watcher.is_to_stop()
        is_due = now - self._saved_at >= self._every or is_to_stop
        rewards = [one["r"] for one in self.model.ep_info_buffer or ()]
        reward = float(np.mean(rewards)) if rewards else math.nan
        if rewards:
            self._run.log(now, reward=reward)
        if is_due:
            self._run.save(now)
            self._saved_at = now
        rate = float(self.model.lr_schedule(self.model._current_progress_remaining))
        measured = {"reward": reward} if is_due and rewards else {}
        self._watcher.told(Progress(now, self._total, 0.0, math.nan, rate, measured, is_due))
        if is_to_stop:
            raise _StoppedError

    def _on_step(self) -> bool:
        return True


def _made(recipe: FineTuning, base: AgentBase) -> Any:
    """A new agent with the settings and weights of the base."""
    if recipe.method is not Method.FULL:
        raise RequestError(f"agents learn by full, not by {recipe.method}: networks are small")
    if base.algorithm not in _SETTINGS:
        known = " and ".join(_SETTINGS)
        raise RequestError(f"the base is an agent of {base.algorithm}; {known} go on learning")
    if not _ENVIRONMENT.match(recipe.data):
        raise RequestError(f"{recipe.data!r} names no environment of gymnasium")
    said = base.settings
    rate = recipe.learning_rate or said.get("learning_rate")
    if _is_pickled(said.get("policy_kwargs")) or _is_pickled(rate):
        raise RequestError(
            "a pickle alone describes the network or the rate of the base: take one that has"
            " a network of numbers (net_arch), and give --learning-rate"
        )
    settings = {
        name: said[name]
        for name in _SETTINGS[base.algorithm]
        if name in said and not _is_pickled(said[name])
    }
    seed_everything(recipe.seed)
    kind = getattr(library("stable_baselines3"), base.algorithm)
    try:
        agent = kind(
            "MlpPolicy",
            recipe.data,
            learning_rate=rate,
            policy_kwargs=dict(said.get("policy_kwargs") or {}),
            seed=recipe.seed,
            device="cpu",  # small networks: a GPU is slower
            **settings,
        )
        agent.policy.load_state_dict(read_tensors(base.weights))
    except (
        RuntimeError,
        ValueError,
        TypeError,
        AssertionError,
        GymnasiumError,
    ) as error:
        words = str(error).strip().partition("\n")[0]
        raise RequestError(f"the base does not fit {recipe.data}: {words}") from error
    return agent


def _is_pickled(value: Any) -> bool:
    return isinstance(value, dict) and ":serialized:" in value


def _reward(agent: Any, recipe: FineTuning) -> float:
    """The mean over episodes in environments of a fixed seed, without chance in what it does."""
    make = library("stable_baselines3.common.env_util").make_vec_env
    evaluate = library("stable_baselines3.common.evaluation").evaluate_policy
    environments = make(recipe.data, n_envs=1, seed=recipe.seed + 1)
    mean, _ = evaluate(agent, environments, n_eval_episodes=EPISODES, deterministic=True)
    environments.close()
    return float(mean)
