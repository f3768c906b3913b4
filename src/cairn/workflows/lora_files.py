"""A LoRA adapter as PEFT keeps it: which pair belongs to which weight of a base, how strongly."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cairn.errors import RequestError
from cairn.formats.limits import MAX_CONFIG_BYTES
from cairn.formats.strict_json import read_json
from cairn.merging.low_rank import update_of
from cairn.workflows.computed_weights import Weights, weights_of
from cairn.workflows.conv1d import conv1d_weights
from cairn.workflows.finetune_work import RESULTS
from cairn.workflows.readable import ReadableCheckpoint

CONFIG = "adapter_config.json"
PREFIX = "base_model.model."
_PAIR = re.compile(
    r"(?P<module>.+)\.lora_(?P<embedding>embedding_)?(?P<side>[AB])(?:\.weight|\.default(?:\.weight)?)?\Z"
)
_NAMED = 5
# Values of `init_lora_weights` that take the adapter's beginning off the base, or quantise it:
# https://huggingface.co/docs/peft/developer_guides/lora#initialization
_CHANGE_THE_BASE = ("pissa", "olora", "loftq", "corda", "lora_ga")


@dataclass(frozen=True, slots=True)
class Pair:
    """The names of two matrices in the adapter, and what their product is multiplied with."""

    down: str
    up: str
    scale: float
    is_transposed: bool


@dataclass(frozen=True, slots=True)
class Adapter:
    """Pairs by the base's weight they change, and weights that replace the base's own.

    `base` is the model the adapter says it is for, `of_class` the class of what was trained; empty
    where it says nothing. `classes` are the labels that its results name, by their numbers.
    """

    weights: Weights
    pairs: Mapping[str, Pair] = field(default_factory=dict)
    replaced: Mapping[str, str] = field(default_factory=dict)
    base: str = ""
    of_class: str = ""
    classes: tuple[str, ...] = ()

    def update(self, name: str) -> NDArray[np.float32]:
        """What is added to a weight of the base."""
        pair = self.pairs[name]
        down, up = self.weights.array(pair.down), self.weights.array(pair.up)
        return update_of(down, up, pair.scale, is_transposed=pair.is_transposed)


def adapter_for(found: ReadableCheckpoint, label: str, base: Weights) -> Adapter:
    """The adapter, with its modules found among the weights of a base.

    Raises:
        RequestError: it is no LoRA adapter, of a kind that is more than a product of two matrices
            (DoRA), or for another base: modules that are not there, or other shapes.
    """
    config = _config(found, label)
    own = weights_of(found, label)
    modules: dict[str, dict[str, str]] = {}
    replaced: dict[str, str] = {}
    for name in own.tensors:
        if "lora_magnitude_vector" in name:
            raise RequestError(f"{label} is a DoRA adapter: it is not a sum, merge it with PEFT")
        match = _PAIR.match(name)
        if match is None:
            replaced[_plain(name)] = name
        else:
            side = f"{match['embedding'] or ''}{match['side']}"
            modules.setdefault(_plain(match["module"]), {})[side] = name
    names = _Names(base)
    turned = conv1d_weights({name: named.tensor.shape for name, named in base.tensors.items()})
    pairs: dict[str, Pair] = {}
    missing = []
    for module, sides in modules.items():
        weight = names.find(f"{module}.weight")
        if weight is None:
            missing.append(module)
        else:
            pair = _pair(module, sides, config, own)
            # PEFT has one `fan_in_fan_out` for all modules, and does not mind it at linear layers.
            is_flagged = bool(config.get("fan_in_fan_out")) and not turned
            if weight in turned or (is_flagged and not _is_linear(own, pair, base, weight)):
                pair = replace(pair, is_transposed=True)
            pairs[weight] = pair
    kept = {}
    for plain, name in replaced.items():
        there = names.find(plain)
        if there is None and not _is_saved(plain, config):
            raise RequestError(f"{label} is not for {base.label}: {plain[:100]} is not there")
        kept[there or plain] = name
    if missing or not (pairs or kept):
        raise RequestError(
            f"{label} is not for {base.label}: "
            + (f"it changes {_some(missing)}, which is not there" if missing else "it is empty")
        )
    called, trained = config.get("base_model_name_or_path"), config.get("auto_mapping")
    of_class = trained.get("base_model_class") if isinstance(trained, dict) else None
    adapter = Adapter(own, pairs, kept, str(called or ""), str(of_class or ""), _classes_of(found))
    _check_shapes(adapter, base)
    return adapter


def _config(found: ReadableCheckpoint, label: str) -> Mapping[str, Any]:
    if CONFIG not in found.files:
        raise RequestError(f"{label} has no {CONFIG}, which says how strongly it counts")
    with found.files[CONFIG].open() as source:
        config = read_json(source, MAX_CONFIG_BYTES, what=CONFIG)
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        kind = config.get("peft_type") if isinstance(config, dict) else None
        raise RequestError(f"{label}: adapters of the kind {str(kind)[:40]!r} are not merged")
    if config.get("use_dora"):
        raise RequestError(f"{label} is a DoRA adapter: it is not a sum, merge it with PEFT")
    for key in ("lora_bias", "trainable_token_indices"):
        if config.get(key):
            raise RequestError(f"{label} is trained with {key}, which is not merged: use PEFT")
    for key in ("use_qalora", "alora_invocation_tokens"):
        if config.get(key):
            raise RequestError(f"{label} is trained with {key}: it is no sum for every input")
    start = config.get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(_CHANGE_THE_BASE):
        raise RequestError(
            f"{label} began as {start[:40]!r}, which changes the base's own weights too: save it"
            " from PEFT with path_initial_model_for_weight_conversion, or merge it with PEFT"
        )
    if config.get("megatron_config") or config.get("layer_replication"):
        raise RequestError(f"{label} replicates or splits layers, which is not merged")
    return config


def _classes_of(found: ReadableCheckpoint) -> tuple[str, ...]:
    """Those that `cairn finetune` learnt, whose names are nowhere else in an adapter."""
    if RESULTS not in found.files:
        return ()
    with found.files[RESULTS].open() as source:
        said = read_json(source, MAX_CONFIG_BYTES, what=RESULTS)
    names = said.get("classes") if isinstance(said, dict) else None
    return tuple(map(str, names)) if isinstance(names, list) else ()


def _is_saved(name: str, config: Mapping[str, Any]) -> bool:
    """Whether it is of a module that was trained whole, such as a head that the base lacks."""
    saved = config.get("modules_to_save")
    return isinstance(saved, list) and any(f".{one}." in f".{name}" for one in saved)


def _pair(module: str, sides: Mapping[str, str], config: Mapping[str, Any], own: Weights) -> Pair:
    label = own.label
    is_embedding = any(side.startswith("embedding") for side in sides)
    lead = "embedding_" if is_embedding else ""
    down, up = sides.get(f"{lead}A"), sides.get(f"{lead}B")
    if down is None or up is None:
        raise RequestError(f"{label}: {module} has one of its two matrices only")
    rank = _number(_for_module(config.get("rank_pattern"), module, config.get("r")), "r", label)
    alpha = _number(
        _for_module(config.get("alpha_pattern"), module, config.get("lora_alpha")),
        *("lora_alpha", label),
    )
    held = next(iter(own.tensors[down].tensor.shape), 0)
    if held != rank:
        raise RequestError(
            f"{label}: {module} has the rank {held}, {CONFIG} says {rank:g}:"
            " how strongly it counts is not known"
        )
    scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    return Pair(down, up, scale, is_embedding)


def _for_module(pattern: Any, module: str, default: Any) -> Any:
    """PEFT's patterns: a key is a regular expression for the end of a module's name.

    Only those that are plain names are taken: a stranger's expression may run for ever.
    """
    if isinstance(pattern, dict):
        for key, value in pattern.items():
            plain = str(key).removeprefix("^").removesuffix("$").replace("\\.", ".")
            if not re.fullmatch(r"[\w.]+", plain):
                raise RequestError(f"the pattern {str(key)[:80]!r} is not a plain module name")
            if module == plain or module.endswith(f".{plain}"):
                return value
    return default


def _number(value: Any, key: str, label: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e9:
        raise RequestError(
            f"{label}: {key} in {CONFIG} is {str(value)[:40]!r}, not a number above 0"
        )
    return float(value)


def _plain(name: str) -> str:
    """The base's name: without what PEFT wraps around a model and its modules."""
    name = name.removeprefix(PREFIX)
    return (
        name.replace(".base_layer.", ".")
        .replace(".modules_to_save.default.", ".")
        .replace(".modules_to_save.", ".")
    )


class _Names:
    """Names of a base's weights, with or without the prefix that a head puts before them."""

    def __init__(self, base: Weights) -> None:
        self._names = frozenset(base.tensors)
        self._without_first: dict[str, str] = {}
        for name in base.tensors:
            self._without_first.setdefault(name.partition(".")[2], name)

    def find(self, name: str) -> str | None:
        if name in self._names:
            return name
        shorter = name.partition(".")[2]
        if shorter in self._names:
            return shorter
        return self._without_first.get(name)


def named_as(tuned: Weights, base: Weights) -> Weights:
    """The same weights under the names that they have in a base."""
    names = _Names(base)
    return replace(tuned, tensors={names.find(n) or n: t for n, t in tuned.tensors.items()})


def _is_linear(own: Weights, pair: Pair, base: Weights, weight: str) -> bool:
    """Whether the shape of a weight says that it is outputs first."""
    down, up = (own.tensors[one].tensor.shape for one in (pair.down, pair.up))
    shape = base.tensors[weight].tensor.shape
    return len(shape) != 2 or (shape == (up[0], down[-1]) and shape[0] != shape[1])


def _check_shapes(adapter: Adapter, base: Weights) -> None:
    for name, pair in adapter.pairs.items():
        down, up = (adapter.weights.tensors[one].tensor.shape for one in (pair.down, pair.up))
        wanted = base.tensors[name].tensor.shape
        made = (up[0], *down[1:]) if up else ()
        if pair.is_transposed:
            made = made[::-1]
        if len(down) < 2 or len(up) < 2 or down[0] != up[1] or made != wanted:
            raise RequestError(
                f"{adapter.weights.label} is not for {base.label}: at {name} it makes {made},"
                f" the base has {wanted}"
            )


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - _NAMED:,} more" if len(listed) > _NAMED else ""
    return ", ".join(name[:100] for name in listed[:_NAMED]) + more
