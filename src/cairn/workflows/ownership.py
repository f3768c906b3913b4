"""Which parameters the states of a checkpoint's optimizers belong to, over all its files."""

import re
from collections.abc import Iterable, Iterator, Mapping

from cairn.domain import Layout, Role, Span, TensorInfo
from cairn.formats.folder import folder_of
from cairn.formats.optimizer_states import matched, numbered_states
from cairn.formats.parameter_order import defined_orders
from cairn.formats.recognition import recognise
from cairn.formats.weight_names import Shape
from cairn.workflows.models import Model

Located = tuple[str, TensorInfo]
Belongs = dict[tuple[str, str], str]

_ADAPTER = "lora"
# Formats whose files keep tensors in the order in which they were put there.
_ORDERED_FORMATS = ("torch-zip", "torch-legacy", "stable-baselines3")
# Reinforcement learning keeps slow copies of networks and an optimizer per network.
_TARGET = re.compile(r"(?:^|\.)\w+_target\.")
_NETWORKS = ("actor", "critic")


def ownership(
    tensors: Iterable[Located], layouts: Mapping[str, Layout], models: Iterable[Model]
) -> tuple[Belongs, list[str]]:
    """Parameter names by path and prefix of the state, and why states have none."""
    folders = {model.folder: model for model in models}
    belongs: Belongs = {}
    notes: list[str] = []
    by_path: dict[str, list[TensorInfo]] = {}
    for path, tensor in tensors:
        if tensor.role is Role.OPTIMIZER:
            by_path.setdefault(path, []).append(tensor)
    for path, states in by_path.items():
        model = folders.get(folder_of(path)) or next(iter(folders.values()), None)
        if model is None:
            continue
        belongs |= _named(path, states, model)
        notes += _numbered(path, states, layouts.get(path), model, layouts, belongs)
    return belongs, notes


def _named(path: str, states: Iterable[TensorInfo], model: Model) -> Belongs:
    """States that carry the parameter's name, as those of distributed checkpoints do."""
    endings = _names_by_ending(model.tensors)
    found: Belongs = {}
    for state in states:
        before, infix, after = state.name.partition("state.")
        parameter = after.rpartition(".")[0]
        if infix and parameter in endings:
            found[path, f"{before}{infix}{parameter}"] = endings[parameter]
    return found


def _names_by_ending(names: Iterable[str]) -> dict[str, str]:
    """Every name by itself and without its first segment, which a container may have added."""
    found: dict[str, str] = {}
    for name in names:
        found.setdefault(name, name)
        found.setdefault(name.partition(".")[2], name)
    return found


def _numbered(
    path: str,
    states: Iterable[TensorInfo],
    layout: Layout | None,
    model: Model,
    layouts: Mapping[str, Layout],
    belongs: Belongs,
) -> Iterator[str]:
    """Enters the numbered states of one file in `belongs`; yields why some are not matched."""
    metadata = layout.metadata if layout is not None else {}
    shapes = [(state.name, state.shape) for state in states]
    for optimizer in numbered_states(shapes, metadata):
        match = matched(optimizer, _orders(path, optimizer.head, model, layouts))
        for number, name in match.names.items():
            belongs[path, f"{optimizer.head}state.{number}"] = name
        if match.reason:
            yield f"{path}: optimizer states are not matched to parameters: {match.reason}"


def _orders(
    path: str, head: str, model: Model, layouts: Mapping[str, Layout]
) -> list[list[tuple[str, Shape]]]:
    """The parameters in each order in which the model may define them, tied ones once."""
    files = _files_of(path, model, layouts)
    weights = [t for t in _trained(model.tensors.values(), head) if t.role is Role.WEIGHTS]
    if files and all(layouts[file].format in _ORDERED_FORMATS for file in files):
        # Places in several files say nothing about each other.
        kept = _untied(weights) if len(files) == 1 else weights
        return [[(tensor.name, tensor.shape) for tensor in kept]]
    recognised = recognise({tensor.name: tensor.shape for tensor in weights})
    kind = recognised.kind if recognised is not None else None
    orders = defined_orders([t.name for t in weights], None if kind == _ADAPTER else kind)
    return [[(name, model.tensors[name].shape) for name in order] for order in orders]


def _files_of(path: str, model: Model, layouts: Mapping[str, Layout]) -> list[str]:
    """The files that a model's weights lie in; the optimizer's own if they are in there too."""

    def has_weights(file: str) -> bool:
        return any(
            tensor.role is Role.WEIGHTS and model.tensors.get(tensor.name) == tensor
            for tensor in layouts[file].tensors
        )

    if path in layouts and has_weights(path):
        return [path]
    return [file for file in layouts if folder_of(file) == model.folder and has_weights(file)]


def _trained(tensors: Iterable[TensorInfo], head: str) -> list[TensorInfo]:
    """Without target networks, which follow the trained ones; of an actor's optimizer its own."""
    trained = [t for t in tensors if not _TARGET.search(t.name)]
    part = next((part for part in _NETWORKS if part in head.split(".")), None)
    own = [t for t in trained if part in t.name.split(".")] if part else []
    return own or trained


def _untied(weights: Iterable[TensorInfo]) -> Iterator[TensorInfo]:
    """Parameters under two names are one to the optimizer: their elements lie at one place."""
    seen: set[tuple[Span, Shape]] = set()
    for tensor in weights:
        place = (tensor.span, tensor.shape)
        if not tensor.span.size_bytes or tensor.pieces or place not in seen:
            yield tensor
        seen.add(place)
