"""Agents of Stable-Baselines3, resumed to the bit: with all that their own files leave out.

`BaseAlgorithm.save` keeps networks and optimizers, and neither random numbers nor what the
environments are in the middle of; the replay buffer has a file of its own
(https://stable-baselines3.readthedocs.io/en/master/guide/save_format.html). A checkpoint is taken
where a rollout begins: the one before was learnt from, and nothing of the next is there.
"""

from collections.abc import Iterator
from typing import Any

from cairn.errors import MissingExtraError, RequestError

try:
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.vec_env import DummyVecEnv, VecEnvWrapper
except ModuleNotFoundError as error:
    raise MissingExtraError(
        "agents need Stable-Baselines3: pip install stable-baselines3"
    ) from error

from cairn.training.loops.environments import layer_state, restore_layer
from cairn.training.run import Run

# What an algorithm counts and remembers between two rollouts (`_setup_learn`, `collect_rollouts`).
_COUNTED = (
    *("num_timesteps", "_total_timesteps", "_num_timesteps_at_start", "_episode_num"),
    *("_n_updates", "_n_calls", "_current_progress_remaining", "exploration_rate"),
    *("_last_obs", "_last_original_obs", "_last_episode_starts"),
    *("ep_info_buffer", "ep_success_buffer"),
)
_KEPT_WHOLE = ("replay_buffer", "action_noise")


class AgentState:
    """What an agent is beside networks and optimizers: counts, last observation, buffers."""

    def __init__(self, agent: BaseAlgorithm) -> None:
        self._agent = agent

    def state_dict(self) -> dict[str, Any]:
        """Counts by name, buffers and noise by their attributes, free variables."""
        return {
            "counted": {n: getattr(self._agent, n) for n in _COUNTED if hasattr(self._agent, n)},
            "whole": {name: layer_state(one) for name, one in self._whole()},
            "variables": {name: one.detach() for name, one in self._variables()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put them back."""
        for name in _COUNTED:
            if name in state["counted"]:
                setattr(self._agent, name, state["counted"][name])
        whole = dict(self._whole())
        for name, said in state["whole"].items():
            restore_layer(whole[name], said)
        variables = dict(self._variables())
        for name, tensor in state["variables"].items():
            variables[name].data.copy_(tensor)

    def _whole(self) -> Iterator[tuple[str, Any]]:
        for name in _KEPT_WHOLE:
            one = getattr(self._agent, name, None)
            if one is not None:
                yield name, one

    def _variables(self) -> Iterator[tuple[str, Any]]:
        _, names = self._agent._get_torch_save_params()
        for name in names:
            yield name, getattr(self._agent, name)


class EnvironmentState:
    """What an agent's environments are in the middle of."""

    def __init__(self, agent: BaseAlgorithm) -> None:
        self._agent = agent

    def state_dict(self) -> dict[str, Any]:
        """The state of every layer."""
        return layer_state(self._environments())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put it back, layer by layer."""
        restore_layer(self._environments(), state)

    def _environments(self) -> Any:
        inner = environments = self._agent.get_env()
        while isinstance(inner, VecEnvWrapper):
            inner = inner.venv
        if not isinstance(inner, DummyVecEnv):
            raise RequestError(
                f"environments in a {type(inner).__qualname__} cannot be looked into:"
                " use a DummyVecEnv"
            )
        return environments


def parts_of(agent: BaseAlgorithm) -> dict[str, Any]:
    """An agent as parts, for `save`, `resume` and `Run`."""
    networks, _ = agent._get_torch_save_params()
    parts: dict[str, Any] = {name.replace(".", "_"): _below(agent, name) for name in networks}
    return {**parts, "agent": AgentState(agent), "environments": EnvironmentState(agent)}


def _below(agent: BaseAlgorithm, dotted: str) -> Any:
    found: Any = agent
    for name in dotted.split("."):
        found = getattr(found, name)
    return found


class Saving(BaseCallback):
    """Saves a run where a rollout begins, after at least `every` steps of the environments.

    `agent.learn(total - agent.num_timesteps, reset_num_timesteps=False, callback=...)` goes on
    with a run that was resumed.
    """

    def __init__(self, run: Run, *, every: int) -> None:
        """`run`: of the parts that `parts_of` gives."""
        super().__init__()
        self._run = run
        self._every = every
        self._saved_at = 0

    def _init_callback(self) -> None:
        if self.model.use_sde:
            raise RequestError("an agent with use_sde draws noise before its rollout can be saved")
        self._saved_at = self.model.num_timesteps

    def _on_rollout_start(self) -> None:
        now = self.model.num_timesteps
        if now - self._saved_at >= self._every:
            self._run.save(now)
            self._saved_at = now

    def _on_step(self) -> bool:
        return True
