"""States of Keras' optimizers: each belongs to the variable that Keras made it for.

Every variable is filled with a number of its own and its states with that number and a half, so
that the values in the file say what belongs together.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cairn.domain import Role
from cairn.workflows.inspect import inspect_path, read_path
from cairn.workflows.inspection import parameter_of

os.environ.setdefault("KERAS_BACKEND", "torch")
keras: Any = pytest.importorskip("keras")
layers = keras.layers


def sequence() -> Any:
    """Layers whose names do not sort in their order, more than ten of one class and one shape."""
    dense = [layers.Dense(3, name=f"z{9 - at % 10}{at}") for at in range(12)]
    return keras.Sequential([layers.Input((3,)), *dense, layers.BatchNormalization()])


def graph() -> Any:
    """Two inputs, an embedding, a recurrent layer with a cell inside, dropout."""
    words, numbers = keras.Input((4,), dtype="int32"), keras.Input((3,))
    read = layers.LSTM(3)(layers.Embedding(5, 3)(words))
    mixed = layers.Concatenate()([layers.Dense(3)(numbers), read])
    return keras.Model([words, numbers], layers.Dense(2)(layers.Dropout(0.1)(mixed)))


def frozen() -> Any:
    """Of three layers one is not trained."""
    model = keras.Sequential([layers.Input((3,)), *(layers.Dense(3) for _ in range(3))])
    model.layers[1].trainable = False
    return model


def attention() -> Any:
    """A layer made of several: their order is not in the file."""
    at = keras.Input((4, 3))
    return keras.Model(at, layers.MultiHeadAttention(2, 3)(at, at))


def saved(model: Any, optimizer: str, path: Path) -> Path:
    model.compile(optimizer, "mse")
    model.optimizer.build(model.trainable_variables)
    number_of = {}
    for number, variable in enumerate(model.trainable_variables, 1):
        variable.assign(np.full(variable.shape, number))
        number_of[variable.path.replace("/", "_")] = number
    for variable in model.optimizer.variables:
        stem = variable.path.partition("/")[2].rpartition("_")[0]
        if stem in number_of:
            variable.assign(np.full(variable.shape, number_of[stem] + 0.5))
    model.save(path)
    return path


def numbers(path: Path) -> tuple[dict[str, float], dict[str, tuple[float, str | None]]]:
    """The numbers of weights, and of states with the weight they are said to belong to."""
    readable = read_path(path)
    found = readable.checkpoint
    weights: dict[str, float] = {}
    states: dict[str, tuple[float, str | None]] = {}
    for file, tensor in found.tensors():
        if not tensor.shape:
            continue
        raw = b"".join(bytes(block) for block in readable.blocks(file, tensor))
        value = float(np.frombuffer(raw, np.float32)[0])
        if tensor.role is Role.OPTIMIZER:
            states[tensor.name] = value, parameter_of(found, file, tensor)
        elif tensor.role is Role.WEIGHTS:
            weights[tensor.name] = value
    return weights, states


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop"])
@pytest.mark.parametrize("make", [sequence, graph])
def test_states_belong_to_the_variable_they_were_made_for(
    make: Any, optimizer: str, ending: str, tmp_path: Path
) -> None:
    weights, states = numbers(saved(make(), optimizer, tmp_path / f"model.{ending}"))
    assert all(name is None or weights[name] + 0.5 == value for value, name in states.values())
    assert all(name is not None for value, name in states.values()) or optimizer == "sgd"
    assert bool(states) or optimizer == "sgd"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", [frozen, attention])
def test_states_whose_variable_the_file_does_not_tell_are_noted(make: Any, tmp_path: Path) -> None:
    path = saved(make(), "adam", tmp_path / "model.keras")
    found = inspect_path(path)
    assert found.belongs == {}
    assert any("not matched to parameters" in note for note in found.notes)
    weights, states = numbers(saved(make(), "adam", tmp_path / "model.h5"))
    named = [(value, name) for value, name in states.values() if name is not None]
    assert named
    assert all(weights[name] + 0.5 == value for value, name in named)
