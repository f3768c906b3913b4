"""Which parameters the states of a checkpoint's optimizers belong to, over all its files."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from cairn.domain import Layout, Role, Span, TensorInfo
from cairn.formats.folder import folder_of
from cairn.formats.keras_optimizer import has_numbered_states, states_by_name, states_by_order
from cairn.formats.limits import MAX_MATCHED_PARAMETERS
from cairn.formats.notes import Notes
from cairn.formats.optimizer_states import (
    Match,
    NumberedStates,
    matched,
    matched_within,
    numbered_states,
)
from cairn.formats.parameter_order import defined_orders
from cairn.formats.recognition import recognise
from cairn.formats.weight_names import Shape
from cairn.workflows.models import Model

Located = tuple[str, TensorInfo]

_ADAPTER = "lora"
# Formats whose files keep tensors in the order in which they were put there.
_ORDERED_FORMATS = ("torch-zip", "torch-legacy", "stable-baselines3")
_KERAS_FORMATS = ("keras", "hdf5")
# Where training scripts keep a moving average of the weights (diffusers: `unet_ema`).
_AVERAGE = re.compile(r"(?:^|[/_-])ema(?:[_-][^/]*)?\Z")
_MAX_CANDIDATES = 12
_NOT_MATCHED = "optimizer states are not matched to parameters"
# Reinforcement learning keeps slow copies of networks and an optimizer per network.
_TARGET = re.compile(r"(?:^|\.)\w+_target\.")
_NETWORKS = ("actor", "critic")
_ENTROPY = ("ent_coef_optimizer", "log_ent_coef")


@dataclass(slots=True)
class Ownership:
    """Parameter names by path and prefix of the state, and what could not be told.

    `trained` has for each model (by label) the parameters with states, `untold` the labels of
    the models that states not matched to parameters may be of, `notes` why they are not.
    """

    belongs: dict[tuple[str, str], str] = field(default_factory=dict)
    trained: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    untold: set[str] = field(default_factory=set)
    notes: tuple[str, ...] = ()

    def enter(self, path: str, model: Model, names: Mapping[str, str]) -> None:
        """States by prefix that were found to be those of a model's parameters."""
        for prefix, name in names.items():
            self.belongs[path, prefix] = name
        self.trained[model.label].update(names.values())


def ownership(
    tensors: Iterable[Located], layouts: Mapping[str, Layout], models: Iterable[Model]
) -> Ownership:
    """Whose states the optimizers of all files keep; `models` are all that may be trained."""
    matching = _Matching(layouts, models)
    by_path: dict[str, list[TensorInfo]] = {}
    for path, tensor in tensors:
        if tensor.role is Role.OPTIMIZER:
            by_path.setdefault(path, []).append(tensor)
    for path, states in by_path.items():
        matching.match(path, states)
    matching.found.notes = matching.notes.listed()
    return matching.found


def is_average(folder: str) -> bool:
    """Whether a folder is named as one that keeps an average of another model's weights."""
    return _AVERAGE.search(folder.rstrip("/")) is not None


def is_target(name: str) -> bool:
    """Whether a tensor is of a network that only follows another one."""
    return _TARGET.search(name) is not None


class _Matching:
    """Enters the states of one file after another, until as much was tried as is affordable."""

    def __init__(self, layouts: Mapping[str, Layout], models: Iterable[Model]) -> None:
        self.found = Ownership()
        self.notes = Notes()
        self._layouts = layouts
        self._budget = MAX_MATCHED_PARAMETERS
        own = [m for m in models if m.has_weights and not is_average(m.folder)]
        self._models = [_Parameters(model, layouts) for model in own]
        self._pools: dict[str, list[_Parameters]] = {}

    def match(self, path: str, states: list[TensorInfo]) -> None:
        """Enter whose states a file keeps."""
        pool = self._trainable_from(folder_of(path))
        if not pool:
            return
        shapes = [(state.name, state.shape) for state in states]
        self.found.enter(path, pool[0].model, _named(states, pool[0].endings))
        layout = self._layouts.get(path)
        if layout is not None and layout.format in _KERAS_FORMATS:
            self._match_keras(path, shapes, layout, pool[0].model)
        for optimizer in numbered_states(shapes, layout.metadata if layout is not None else {}):
            if self._budget <= 0:
                self.notes.add("too many optimizers to match all of them to parameters")
                break
            self._match_numbered(path, optimizer, pool)

    def _trainable_from(self, folder: str) -> list["_Parameters"]:
        """The models beside an optimizer's file, or else below its folder, or else all."""
        if folder not in self._pools:
            beside = [each for each in self._models if each.model.folder == folder]
            below = [each for each in self._models if each.model.folder.startswith(folder)]
            self._pools[folder] = (beside or below or self._models)[:_MAX_CANDIDATES]
        return self._pools[folder]

    def _match_numbered(
        self, path: str, optimizer: NumberedStates, pool: list["_Parameters"]
    ) -> None:
        """Enter the states of one optimizer as those of the model, or module of one, that fits."""
        orders = [each.orders(path, optimizer.head) for each in pool]
        tried = [matched(optimizer, known) for known in orders]
        fitting = self._afforded(pool, tried, orders, optimizer)
        if not fitting and optimizer.groups and optimizer.states:
            parts = [matched_within(optimizer, known) for known in orders]
            fitting = self._afforded(pool, parts, orders, optimizer)
        if len(fitting) == 1:
            ((model, match),) = fitting
            prefix = f"{optimizer.head}state."
            names = {f"{prefix}{number}": name for number, name in match.names.items()}
            self.found.enter(path, model, names)
            return
        self.found.untold |= {model.label for model, _ in fitting} or {e.model.label for e in pool}
        why = _why([model for model, _ in fitting], tried)
        self.notes.add(f"{path}: {_NOT_MATCHED}: {why}")

    def _afforded(
        self,
        pool: list["_Parameters"],
        matches: list[Match],
        orders: list[list[list[tuple[str, Shape]]]],
        optimizer: NumberedStates,
    ) -> list[tuple[Model, Match]]:
        """The models that fit; what it took to try them is taken from the budget."""
        tried = sum(len(order) for known in orders for order in known)
        self._budget -= len(pool) + tried * bool(optimizer.groups)
        pairs = zip(pool, matches, strict=True)
        return [(each.model, match) for each, match in pairs if not match.reason]

    def _match_keras(
        self, path: str, states: list[tuple[str, Shape]], layout: Layout, model: Model
    ) -> None:
        """Enter the states of a Keras optimizer, which are named or numbered in their own ways."""
        weights = {n: t.shape for n, t in model.tensors.items() if t.role is Role.WEIGHTS}
        self._budget -= len(weights)
        if self._budget <= 0:
            return
        names = [name for name, _ in states]
        self.found.enter(path, model, states_by_name(names, weights))
        if has_numbered_states(names):
            own, reason = states_by_order(states, weights, list(layout.modules))
            self.found.enter(path, model, own)
            if reason:
                self.found.untold.add(model.label)
                self.notes.add(f"{path}: {_NOT_MATCHED}: {reason}")


def _why(fitting: list[Model], tried: list[Match]) -> str:
    if fitting:
        return f"they fit {' and '.join(model.label for model in fitting)} alike"
    reason = tried[0].reason
    return reason if len(tried) == 1 else f"they fit none of {len(tried)} models; {reason}"


def _named(states: Iterable[TensorInfo], endings: Mapping[str, str]) -> dict[str, str]:
    """States that carry the parameter's name, as those of distributed checkpoints do."""
    found: dict[str, str] = {}
    for state in states:
        before, infix, after = state.name.partition("state.")
        parameter = after.rpartition(".")[0]
        if infix and parameter in endings:
            found[f"{before}{infix}{parameter}"] = endings[parameter]
    return found


class _Parameters:
    """The parameters of one model as optimizers may have been given them, found out once."""

    def __init__(self, model: Model, layouts: Mapping[str, Layout]) -> None:
        self.model = model
        self._layouts = layouts
        self._known: dict[str, bool] = {}
        self._orders: dict[tuple[tuple[str, ...], str], list[list[tuple[str, Shape]]]] = {}

    @cached_property
    def endings(self) -> dict[str, str]:
        """Full names by the name that a distributed checkpoint may use."""
        return _names_by_ending(self.model.tensors)

    def orders(self, path: str, head: str) -> list[list[tuple[str, Shape]]]:
        """The parameters in each order in which the model may define them, tied ones once."""
        segments = head.split(".")
        part = next((part for part in (*_NETWORKS, _ENTROPY[0]) if part in segments), "")
        files = (path,) if self._has_weights(path) else self._files
        if (files, part) not in self._orders:
            self._orders[files, part] = self._ordered(files, part)
        return self._orders[files, part]

    def _ordered(self, files: tuple[str, ...], part: str) -> list[list[tuple[str, Shape]]]:
        tensors = self.model.tensors
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
        beside = (file for file in self._layouts if folder_of(file) == self.model.folder)
        return tuple(file for file in beside if self._has_weights(file))

    def _has_weights(self, file: str) -> bool:
        if file not in self._known:
            layout = self._layouts.get(file)
            self._known[file] = layout is not None and any(
                tensor.role is Role.WEIGHTS and self.model.tensors.get(tensor.name) == tensor
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
    """What an optimizer trains: no target networks, which only follow; an actor's its own."""
    optimizer, coefficient = _ENTROPY
    if part == optimizer:
        return [t for t in tensors if t.name.rpartition(".")[2] == coefficient]
    trained = [t for t in tensors if not is_target(t.name)]
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
