"""What each of several models in one checkpoint lacks to be trained on.

A pipeline of diffusers, two models that accelerate saved into one folder, the checkpoints of one
run side by side; and within one file the networks of reinforcement learning, which are trained by
an optimizer each (`stable_baselines3/sac/policies.py`, `td3/policies.py`).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cairn.domain import Role
from cairn.workflows.models import Model
from cairn.workflows.ownership import Ownership, is_average, is_target

OPTIMIZER = "optimizer state"
POSITION = "position (epoch or step)"

_NETWORK = re.compile(r"(?:^|\.)(?P<name>actor|critic)\.|(?:^|\.)(?P<coefficient>log_ent_coef)\Z")
_COEFFICIENT = "entropy coefficient"
_MAX_MODELS = 50


@dataclass(frozen=True, slots=True)
class Lacks:
    """What a resume of one model does not find; `is_trained`: it cannot have been frozen."""

    optimizer: str
    has_position: bool
    is_trained: bool = False

    @property
    def what(self) -> tuple[str, ...]:
        """All of it."""
        position = () if self.has_position else (POSITION,)
        return (self.optimizer, *position) if self.optimizer else position


def lacks_by_model(
    models: Iterable[Model], owned: Ownership, positions: Iterable[str]
) -> dict[str, Lacks]:
    """By label what each model lacks; nothing where there is one that is trained as one.

    `positions` are the folders in which something tells where training stood.
    """
    trained = [model for model in models if model.has_weights and not is_average(model.folder)]
    told = list(positions)
    found: dict[str, Lacks] = {}
    for model in trained[:_MAX_MODELS]:
        networks = _networks(model)
        is_told = _is_told(model.folder, told)
        states = owned.trained.get(model.label, set())
        is_untold = model.label in owned.untold
        if len(networks) < 2:
            found[model.label] = Lacks(
                _of_states(_parameters(model), states, is_untold=is_untold), is_told
            )
            continue
        for network, names in networks.items():
            label = network if len(trained) == 1 else f"{model.label}: {network}"
            lacking = _of_states(names, states, is_untold=is_untold)
            found[label] = Lacks(lacking, is_told, is_trained=bool(states) and not is_untold)
    return found if len(found) > 1 else {}


def _of_states(names: set[str], states: set[str], *, is_untold: bool) -> str:
    held = len(names & states)
    if held == len(names):
        return ""
    if held:
        return f"{OPTIMIZER} of {len(names) - held:,} of {len(names):,} parameters"
    return f"{OPTIMIZER} (there is one whose parameters are not known)" if is_untold else OPTIMIZER


def _parameters(model: Model) -> set[str]:
    """What may be trained: one of several names of the same elements, no target networks."""
    seen: dict[object, str] = {}
    for name, tensor in model.tensors.items():
        if tensor.role is Role.WEIGHTS and not is_target(name):
            place = (tensor.span, tensor.shape) if tensor.span.size_bytes else name
            seen.setdefault(place, name)
    return set(seen.values())


def _networks(model: Model) -> Mapping[str, set[str]]:
    """The networks of reinforcement learning that a model consists of."""
    found: dict[str, set[str]] = {}
    for name in sorted(_parameters(model)):
        match = _NETWORK.search(name)
        if match is None:
            return {}
        found.setdefault(match["name"] or _COEFFICIENT, set()).add(name)
    return found


def _is_told(folder: str, positions: Iterable[str]) -> bool:
    """Whether the position is told in a model's own folder, below it or above."""
    return any(folder.startswith(place) or place.startswith(folder) for place in positions)
