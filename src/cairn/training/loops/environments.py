"""Environments of reinforcement learning: what they are in the middle of, layer by layer.

An environment of gymnasium has no state that it gives out, so the attributes of its layers are
taken: plain values as they are, generators by their state, wrapped environments and spaces in
turn. What an environment is built with stays as it was built. An environment of one's own may
have `state_dict` and `load_state_dict` instead. The attributes are those of
https://gymnasium.farama.org/api/env/ and of the wrappers in `stable_baselines3/common/vec_env`.
"""

import random
from collections.abc import Iterator, Mapping
from functools import partial
from types import FunctionType, MethodType, ModuleType
from typing import Any

import gymnasium
import numpy as np

from cairn.errors import RequestError
from cairn.training.stateful import generator_state, set_generator_state

# Given when an environment is built, or for the eyes only.
_AS_BUILT = frozenset(
    (
        *("spec", "metadata", "_metadata", "_cached_spec", "_saved_kwargs", "render_mode"),
        *("screen", "clock", "surf", "viewer", "window", "results_writer", "t_start"),
        "class_attributes",
    )
)
_CODE = (FunctionType, MethodType, ModuleType, type, partial)
_LIBRARIES = ("gymnasium", "stable_baselines3")
_BIT_GENERATORS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")


def layer_state(layer: Any) -> dict[str, Any]:
    """The state of an environment, a wrapper, a space or a buffer, and of what is inside it."""
    said: dict[str, Any] = {"class": type(layer).__qualname__}
    if _speaks_for_itself(layer):
        return {**said, "own": layer.state_dict()}
    if isinstance(layer, gymnasium.Space):
        generator = getattr(layer, "_np_random", None)
        said["random"] = None if generator is None else generator_state(generator)
        inner = dict(_subspaces(layer))
        return {**said, "inner": {name: layer_state(one) for name, one in inner.items()}}
    values, generators, inside = {}, {}, {}
    for name, value in _attributes(layer):
        if isinstance(value, np.random.Generator | np.random.RandomState | random.Random):
            generators[name] = generator_state(value)
        elif layers := _layers(value):
            inside[name] = [layer_state(one) for one in layers]
        else:
            values[name] = value
    return {**said, "values": values, "generators": generators, "inside": inside}


def restore_layer(layer: Any, said: Mapping[str, Any]) -> None:
    """Put a state back.

    Raises:
        RequestError: it is of something built otherwise.
    """
    mine = type(layer).__qualname__
    if mine != said["class"]:
        raise RequestError(f"a {said['class']} was saved where a {mine} is")
    if "own" in said:
        layer.load_state_dict(said["own"])
    elif isinstance(layer, gymnasium.Space):
        if said["random"] is not None:
            set_generator_state(layer.np_random, said["random"])
        for name, one in _subspaces(layer):
            restore_layer(one, said["inner"][name])
    else:
        _restore_attributes(layer, said)


def _restore_attributes(layer: Any, said: Mapping[str, Any]) -> None:
    for name, value in said["values"].items():
        if name in _AS_BUILT or callable(getattr(layer, name, None)):
            raise RequestError(f"{name[:100]!r} is no state of a {type(layer).__qualname__}")
        setattr(layer, name, value)
    for name, state in said["generators"].items():
        if getattr(layer, name, None) is None:  # made by the first reset
            setattr(layer, name, _generator(state))
        set_generator_state(getattr(layer, name), state)
    for name, states in said["inside"].items():
        layers = _layers(getattr(layer, name))
        if len(layers) != len(states):
            raise RequestError(f"{name} are {len(layers)} and were {len(states)}")
        for one, state in zip(layers, states, strict=True):
            restore_layer(one, state)


def _generator(state: Any) -> np.random.Generator | random.Random:
    """A new generator of the kind that a state is of."""
    if not isinstance(state, Mapping):
        return random.Random()  # noqa: S311 - its state is replaced at once
    kind = state["bit_generator"]
    if kind not in _BIT_GENERATORS:
        raise RequestError(f"there is no generator {str(kind)[:40]!r}")
    return np.random.Generator(getattr(np.random, kind)())


def _attributes(layer: Any) -> Iterator[tuple[str, Any]]:
    for name, value in vars(layer).items():
        if name not in _AS_BUILT and not isinstance(value, _CODE):
            yield name, value


def _layers(value: Any) -> list[Any]:
    """The layers that an attribute holds: itself, or those in its list."""
    items = value if isinstance(value, list) and value else [value]
    return list(items) if all(map(_is_layer, items)) else []


def _is_layer(value: Any) -> bool:
    if isinstance(value, gymnasium.Env | gymnasium.Space):
        return True
    return type(value).__module__.partition(".")[0] in _LIBRARIES


def _speaks_for_itself(layer: Any) -> bool:
    return hasattr(layer, "state_dict") and hasattr(layer, "load_state_dict")


def _subspaces(space: Any) -> Iterator[tuple[str, Any]]:
    spaces = getattr(space, "spaces", ())
    named = spaces.items() if isinstance(spaces, Mapping) else enumerate(spaces)
    for name, one in named:
        yield str(name), one
