"""Keras' description of a model: its class, its layers by name, and what loading would run.

A node is `{"module", "class_name", "config", "registered_name"}`; a model's `config` lists its
layers under `layers`, a wrapper its one under `layer`. Keras 2 leaves out the module. Sources:
https://github.com/keras-team/keras/blob/master/keras/src/saving/serialization_lib.py and
https://keras.io/api/models/model_saving_apis/.

Nothing named here is imported. Keras itself has run what such files name (CVE-2024-3660,
CVE-2025-1550), so every class from outside Keras and every Lambda layer is said in a note.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cairn.domain import Architecture, Role, Scalar, TensorInfo
from cairn.formats.limits import MAX_METADATA_ITEMS, MAX_METADATA_VALUE_CHARS
from cairn.formats.naming import printable
from cairn.formats.notes import Notes
from cairn.formats.strict_json import parse_json

_OLD_GROUP = "model_weights"
_BATCH_NORMALIZATION = "BatchNormalization"
_BELOW = ("layers", "layer", "forward_layer", "backward_layer", "cell", "cells")


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: its class and its settings."""

    class_name: str
    config: Mapping[str, Any]

    @property
    def trained(self) -> int | None:
        """How many of its variables training changes; None for all."""
        if self.class_name != _BATCH_NORMALIZATION:
            return None
        return sum(self.config.get(part, True) is not False for part in ("scale", "center"))


@dataclass(frozen=True, slots=True)
class KerasModel:
    """A model as its configuration declares it; `layers` by the name the user sees."""

    class_name: str
    architecture: Architecture
    layers: Mapping[str, Layer] = field(default_factory=dict)
    training: Mapping[str, Scalar] = field(default_factory=dict)


def parse_model(raw: bytes, source: str, what: str, notes: Notes) -> KerasModel | None:
    """The model a configuration declares; None if it is not of this form.

    `what` names the document: it is the evidence.

    Raises:
        MalformedError: it is not strict JSON.
    """
    root = parse_json(raw, source, what=what, constants=True)
    class_name = root.get("class_name") if isinstance(root, dict) else None
    if not isinstance(class_name, str) or not class_name:
        notes.add(f"{what} names no class")
        return None
    layers: dict[str, Layer] = {}
    ambiguous: set[str] = set()
    for name, layer in _layers(root):
        if name in layers and layers[name].class_name != layer.class_name:
            ambiguous.add(name)
        layers[name] = layer
    _note_code(root, what, notes)
    shown = printable(class_name, MAX_METADATA_VALUE_CHARS)
    counts: dict[str, Scalar] = {}
    for layer in layers.values():
        key = f"layers.{layer.class_name}"
        if len(counts) < MAX_METADATA_ITEMS or key in counts:
            before = counts.get(key, 0)
            counts[key] = 1 + (before if isinstance(before, int) else 0)
    return KerasModel(
        class_name=shown,
        architecture=Architecture(shown.lower(), shown, f"{what}: class_name", counts),
        layers={name: layer for name, layer in layers.items() if name not in ambiguous},
        training=_training(root.get("compile_config")),
    )


def modules_of(
    model: KerasModel, attributes: Mapping[str, Mapping[str, Scalar]]
) -> dict[str, Layer]:
    """The layers by the dotted path of their group in the HDF5 file, in the model's order.

    Keras 3 writes each layer's name as an attribute of its group `vars`; Keras 1 and 2 name the
    groups below `model_weights` after the layers.
    """
    found: dict[str, Layer] = {}
    for name, layer in model.layers.items():
        if f"{_OLD_GROUP}.{name}" in attributes:
            found[f"{_OLD_GROUP}.{name}"] = layer
    for path, values in attributes.items():
        label = values.get("name")
        if path.endswith(".vars") and isinstance(label, str) and label in model.layers:
            found[path.removesuffix(".vars")] = model.layers[label]
    places = {id(layer): at for at, layer in enumerate(model.layers.values())}
    return dict(sorted(found.items(), key=lambda item: places[id(item[1])]))


def role_in(layers: Mapping[str, Layer], tensor: TensorInfo) -> Role:
    """The role of a variable, now that its layer is known: moving averages are buffers."""
    group, _, number = tensor.name.rpartition(".")
    layer = layers.get(group.removesuffix(".vars"))
    trained = None if layer is None else layer.trained
    if trained is None or not number.isdecimal() or tensor.role is not Role.WEIGHTS:
        return tensor.role
    return Role.BUFFERS if len(number) < 5 and int(number) >= trained else Role.WEIGHTS


def training_of(raw: bytes, source: str, what: str) -> Mapping[str, Scalar]:
    """What a Keras 2 `training_config` says of optimizer and loss.

    Raises:
        MalformedError: it is not strict JSON.
    """
    root = parse_json(raw, source, what=what, constants=True)
    if isinstance(root, dict) and "optimizer_config" in root:
        root = {**root, "optimizer": root["optimizer_config"]}
    return _training(root)


def _layers(root: Mapping[str, Any]) -> Iterator[tuple[str, Layer]]:
    """All layers below a node, outermost first."""
    waiting: list[Any] = [root]
    while waiting:
        node = waiting.pop()
        config = node.get("config")
        class_name = node.get("class_name")
        if isinstance(config, list):  # Keras 1 wrote a Sequential's layers without their name
            config = {"layers": config}
        if not isinstance(config, dict) or not isinstance(class_name, str):
            continue
        name = config.get("name", node.get("name"))
        if node is not root and isinstance(name, str):
            yield name, Layer(printable(class_name, MAX_METADATA_VALUE_CHARS), config)
        below: list[Any] = []
        for key in _BELOW:
            value = config.get(key)
            below += value if isinstance(value, list) else [value]
        waiting += [child for child in reversed(below) if isinstance(child, dict)]


def _note_code(root: Any, what: str, notes: Notes) -> None:
    """Name what loading would run or import from outside Keras."""
    waiting: list[Any] = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += (child for child in node if isinstance(child, (dict, list)))
            continue
        waiting += (child for child in node.values() if isinstance(child, (dict, list)))
        class_name, module = node.get("class_name"), node.get("module")
        if not isinstance(class_name, str):
            continue
        if class_name == "Lambda":
            config = node.get("config")
            name = config.get("name") if isinstance(config, dict) else None
            notes.add(f"{what}: layer {str(name)[:100]!r} is a Lambda: code in the file, never run")
        elif class_name == "__lambda__":
            notes.add(f"{what} holds Python bytecode, which is never run")
        elif isinstance(module, str) and module.partition(".")[0] != "keras":
            notes.add(f"{what} names {module[:100]}.{class_name[:100]}, which Keras would import")


def _training(config: Any) -> dict[str, Scalar]:
    """Optimizer, its settings and the loss, flat."""
    if not isinstance(config, dict):
        return {}
    found: dict[str, Scalar] = {}
    if isinstance(config.get("loss"), str):
        found["loss"] = printable(config["loss"], MAX_METADATA_VALUE_CHARS)
    optimizer = config.get("optimizer")
    if not isinstance(optimizer, dict):
        return found
    if isinstance(optimizer.get("class_name"), str):
        found["optimizer"] = printable(optimizer["class_name"], MAX_METADATA_VALUE_CHARS)
    settings = optimizer.get("config")
    for key, value in settings.items() if isinstance(settings, dict) else ():
        if isinstance(value, (bool, int, float)) and len(found) < MAX_METADATA_ITEMS:
            found[f"optimizer.{key[:100]}"] = value
    return found
