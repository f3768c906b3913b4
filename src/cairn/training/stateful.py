"""Whatever has a state of its own: schedulers, scalers, averages, samplers, random generators."""

import random
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from cairn.training.parts import Part
from cairn.training.values import Json, SavedTensors


@runtime_checkable
class Stateful(Protocol):
    """An object that says its state and takes it back."""

    def state_dict(self) -> Any:
        """Everything to keep."""

    def load_state_dict(self, state_dict: Any, /) -> Any:
        """Take a state back."""


class StatefulPart(Part):
    """An object with `state_dict` and `load_state_dict`.

    Only the object knows what fits it: its state before is kept until all parts are put back.
    """

    kind = "stateful"

    def __init__(self, name: str, owner: Stateful) -> None:
        super().__init__(name, owner)
        self._owner = owner

    def state(self) -> Any:
        """What `state_dict` gives."""
        return self._owner.state_dict()

    def load(self, state: Any) -> None:
        """Hand it to `load_state_dict`."""
        self._owner.load_state_dict(state)

    def keep(self) -> Any:
        """A copy, because nobody knows what `load_state_dict` writes into."""
        return deepcopy(self._owner.state_dict())


Generator = torch.Generator | np.random.Generator | np.random.RandomState | random.Random


class GeneratorPart(Part):
    """A generator of random numbers that the training loop made for itself."""

    kind = "generator"

    def __init__(self, name: str, generator: Generator) -> None:
        super().__init__(name, generator)
        self._generator = generator

    def state(self) -> Any:
        """The state in the form that the generator's library gives it."""
        return generator_state(self._generator)

    def load(self, state: Any) -> None:
        """Put it back."""
        set_generator_state(self._generator, state)

    def check(self, saved: Json, tensors: SavedTensors) -> None:
        """NumPy's generators say which algorithm they are of."""
        del tensors
        if isinstance(self._generator, np.random.Generator):
            mine, its = self.state()["bit_generator"], saved["bit_generator"]
            if mine != its:
                raise self.refusal(f"is a {mine}, a {its} was saved")

    def keep(self) -> Any:
        """Its state is small."""
        return self.state()


def generator_state(generator: Generator) -> Any:
    """What a generator goes on from, in the form that its library gives it."""
    match generator:
        case torch.Generator():
            return generator.get_state()
        case np.random.Generator():
            return generator.bit_generator.state
        case np.random.RandomState():
            return generator.get_state(legacy=False)
        case random.Random():
            return generator.getstate()


def set_generator_state(generator: Generator, state: Any) -> None:
    """Have a generator go on from there."""
    match generator:
        case torch.Generator():
            generator.set_state(state)
        case np.random.Generator():
            generator.bit_generator.state = state
        case np.random.RandomState():
            generator.set_state(state)
        case random.Random():
            generator.setstate(state)


class RandomStatesPart(Part):
    """The random numbers of the whole process: Python, NumPy, torch, every device in use."""

    kind = "random"

    def __init__(self, name: str) -> None:
        super().__init__(name, self)

    def state(self) -> Any:
        """Four states; devices that nothing ran on have none."""
        return {
            "python": random.getstate(),
            "numpy": np.random.get_state(legacy=False),
            "torch": torch.get_rng_state(),
            "devices": dict(_device_states()),
        }

    def load(self, state: Any) -> None:
        """Put them back; those of devices that are not here are left out."""
        random.setstate(state["python"])
        np.random.set_state(state["numpy"])
        torch.set_rng_state(state["torch"])
        for kind, states in state["devices"].items():
            if kind == _WITHOUT_NUMBERS:
                if torch.backends.mps.is_available():
                    torch.mps.set_rng_state(states[0])
                continue
            module = getattr(torch, kind)
            for number, one in enumerate(states[: module.device_count()]):
                module.set_rng_state(one, number)

    def keep(self) -> Any:
        """Their states are small."""
        return self.state()


_NUMBERED = ("cuda", "xpu")
_WITHOUT_NUMBERS = "mps"


def _device_states() -> Iterator[tuple[str, list[Tensor]]]:
    for kind in _NUMBERED:
        module = getattr(torch, kind)
        if module.is_available() and module.is_initialized():
            yield kind, [module.get_rng_state(n) for n in range(module.device_count())]
    if torch.backends.mps.is_available():
        yield _WITHOUT_NUMBERS, [torch.mps.get_rng_state()]
