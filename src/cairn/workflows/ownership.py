"""Which parameters the states of a checkpoint's optimizers belong to, over all its files."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

from cairn.domain import Layout, Role, Span, TensorInfo
from cairn.formats.folder import folder_of
from cairn.formats.limits import MAX_MATCHED_PARAMETERS
from cairn.formats.notes import Notes
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
    known = {model.folder: _Parameters(model, layouts) for model in models}
    belongs: Belongs = {}
    notes = Notes()
    budget = MAX_MATCHED_PARAMETERS
    by_path: dict[str, list[TensorInfo]] = {}
    for path, tensor in tensors:
        if tensor.role is Role.OPTIMIZER:
            by_path.setdefault(path, []).append(tensor)
    for path, states in by_path.items():
        parameters = known.get(folder_of(path)) or next(iter(known.values()), None)
        if parameters is None:
            continue
        belongs |= _named(path, states, parameters.endings)
        layout = layouts.get(path)
        shapes = [(state.name, state.shape) for state in states]
        for optimizer in numbered_states(shapes, layout.metadata if layout is not None else {}):
            if budget <= 0:
                notes.add("too many optimizers to match all of them to parameters")
                break
            orders = parameters.orders(path, optimizer.head)
            budget -= 1 + sum(map(len, orders)) * bool(optimizer.groups)
            match = matched(optimizer, orders)
            for number, name in match.names.items():
                belongs[path, f"{optimizer.head}state.{number}"] = name
            if match.reason:
                notes.add(f"{path}: optimizer states are not matched to parameters: {match.reason}")
    return belongs, list(notes.listed())


def _named(path: str, states: Iterable[TensorInfo], endings: Mapping[str, str]) -> Belongs:
    """States that carry the parameter's name, as those of distributed checkpoints do."""
    found: Belongs = {}
    for state in states:
        before, infix, after = state.name.partition("state.")
        parameter = after.rpartition(".")[0]
        if infix and parameter in endings:
            found[path, f"{before}{infix}{parameter}"] = endings[parameter]
    return found


class _Parameters:
    """The parameters of one model as optimizers may have been given them, found out once."""

    def __init__(self, model: Model, layouts: Mapping[str, Layout]) -> None:
        self._model = model
        self._layouts = layouts
        self._known: dict[str, bool] = {}
        self._orders: dict[tuple[tuple[str, ...], str], list[list[tuple[str, Shape]]]] = {}

    @cached_property
    def endings(self) -> dict[str, str]:
        """Full names by the name that a distributed checkpoint may use."""
        return _names_by_ending(self._model.tensors)

    def orders(self, path: str, head: str) -> list[list[tuple[str, Shape]]]:
        """The parameters in each order in which the model may define them, tied ones once."""
        segments = head.split(".")
        part = next((part for part in _NETWORKS if part in segments), "")
        files = (path,) if self._has_weights(path) else self._files
        if (files, part) not in self._orders:
            self._orders[files, part] = self._ordered(files, part)
        return self._orders[files, part]

    def _ordered(self, files: tuple[str, ...], part: str) -> list[list[tuple[str, Shape]]]:
        tensors = self._model.tensors
        weights = [t for t in _trained(tensors.values(), part) if t.role is Role.WEIGHTS]
        if files and all(self._layouts[file].format in _ORDERED_FORMATS for file in files):
            # Places in several files say nothing about each other.
            kept = _untied(weights) if len(files) == 1 else weights
            return [[(tensor.name, tensor.shape) for tensor in kept]]
        recognised = recognise({tensor.name: tensor.shape for tensor in weights})
        kind = recognised.kind if recognised is not None else None
        orders = defined_orders([t.name for t in weights], None if kind == _ADAPTER else kind)
        return [[(name, tensors[name].shape) for name in order] for order in orders]

    @cached_property
    def _files(self) -> tuple[str, ...]:
        """The files of the model's folder that its weights lie in."""
        beside = (file for file in self._layouts if folder_of(file) == self._model.folder)
        return tuple(file for file in beside if self._has_weights(file))

    def _has_weights(self, file: str) -> bool:
        if file not in self._known:
            layout = self._layouts.get(file)
            self._known[file] = layout is not None and any(
                tensor.role is Role.WEIGHTS and self._model.tensors.get(tensor.name) == tensor
                for tensor in layout.tensors
            )
        return self._known[file]


def _names_by_ending(names: Iterable[str]) -> dict[str, str]:
    """Every name by itself and without its first segment, which a container may have added."""
    found: dict[str, str] = {}
    for name in names:
        found.setdefault(name, name)
        found.setdefault(name.partition(".")[2], name)
    return found


def _trained(tensors: Iterable[TensorInfo], part: str) -> list[TensorInfo]:
    """Without target networks, which follow the trained ones; of an actor's optimizer its own."""
    trained = [t for t in tensors if not _TARGET.search(t.name)]
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
