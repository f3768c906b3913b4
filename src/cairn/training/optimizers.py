"""An optimizer, its state under the names of its parameters and not under their numbers.

torch numbers parameters in the order the optimizer was given them (`Optimizer.state_dict`,
https://docs.pytorch.org/docs/stable/generated/torch.optim.Optimizer.state_dict.html). A number
says nothing to whoever built the model a little differently; a name does.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from cairn.training.parts import Part, listed
from cairn.training.ranks.sharding import is_sharded
from cairn.training.tensors import lying_like
from cairn.training.values import Json, SavedTensors


class OptimizerPart(Part):
    """A `torch.optim.Optimizer`.

    `names` has the name of every known parameter by `id`; others are called by where they stand.
    """

    kind = "optimizer"

    def __init__(self, name: str, optimizer: Optimizer, names: Mapping[int, str]) -> None:
        super().__init__(name, optimizer)
        self._optimizer = optimizer
        self._known = names

    def state(self) -> Any:
        """Groups and states as the optimizer has them, parameters by name."""
        said = self._optimizer.state_dict()
        names = dict(zip(_numbers(said), chain.from_iterable(self._names_by_group()), strict=True))
        groups = [
            {**group, "params": [names[number] for number in group["params"]]}
            for group in said["param_groups"]
        ]
        state = {names.get(key, key): value for key, value in said["state"].items()}
        return {**said, "param_groups": groups, "state": state}

    def alike(self) -> Callable[[str], Tensor | None]:
        """State of a parameter that is shared out lies as the parameter does."""
        sharded = {
            name: parameter
            for group, names in zip(
                self._optimizer.param_groups, self._names_by_group(), strict=True
            )
            for parameter, name in zip(group["params"], names, strict=True)
            if is_sharded(parameter)
        }
        return lambda name: sharded.get(name.removeprefix("state.").rpartition(".")[0])

    def check(self, saved: Json, tensors: SavedTensors) -> None:
        """The same parameters in the same groups."""
        del tensors
        here, there = self._names_by_group(), [g["params"] for g in saved["param_groups"]]
        if len(here) != len(there):
            raise self.refusal(f"has {len(here)} groups of parameters, {len(there)} were saved")
        for number, (mine, its) in enumerate(zip(here, there, strict=True)):
            foreign, absent = sorted(set(its) - set(mine)), sorted(set(mine) - set(its))
            if foreign or absent:
                raise self.refusal(
                    f"was saved for other parameters: group {number} there had"
                    f" {listed(foreign) or 'none beyond these'}, here it also has"
                    f" {listed(absent) or 'none'}"
                )

    def load(self, state: Any) -> None:
        """Put groups and states back, also where the order of parameters is another one."""
        names = self._names_by_group()
        numbers = {name: n for n, name in enumerate(chain.from_iterable(names))}
        groups = [
            {**group, "params": [numbers[name] for name in mine]}
            for group, mine in zip(state["param_groups"], names, strict=True)
        ]
        by_number = {numbers.get(key, key): value for key, value in state["state"].items()}
        self._optimizer.load_state_dict({**state, "param_groups": groups, "state": by_number})
        self._keep_types(state["state"])

    def _keep_types(self, state: Mapping[str, Mapping[str, Any]]) -> None:
        """Undo torch's casts: it gives every state the type of its parameter, and not its order."""
        for group, names in zip(self._optimizer.param_groups, self._names_by_group(), strict=True):
            for parameter, name in zip(group["params"], names, strict=True):
                live = self._optimizer.state.get(parameter, {})
                for key, value in state.get(name, {}).items():
                    found = live.get(key)
                    if isinstance(value, Tensor) and isinstance(found, Tensor):
                        kept = found if found.dtype == value.dtype else value.to(found.device)
                        live[key] = lying_like(kept, parameter)

    def keep(self) -> Any:
        """The state as it is; `load` does not write into its tensors."""
        return self.state()

    def unnamed(self) -> Iterator[tuple[str, Tensor]]:
        """Parameters that are trained and of no model that was handed over."""
        for group, names in zip(self._optimizer.param_groups, self._names_by_group(), strict=True):
            for parameter, name in zip(group["params"], names, strict=True):
                if parameter.requires_grad and id(parameter) not in self._known:
                    yield name, parameter

    def _names_by_group(self) -> list[list[str]]:
        return [
            [
                self._known.get(id(parameter), f"unnamed.{group_number}.{number}")
                for number, parameter in enumerate(group["params"])
            ]
            for group_number, group in enumerate(self._optimizer.param_groups)
        ]


def _numbers(said: Mapping[str, Any]) -> Iterable[int]:
    return chain.from_iterable(group["params"] for group in said["param_groups"])
