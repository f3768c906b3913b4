"""The verbs that put an adapter into its base and take it out again."""

import json
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cairn.errors import RequestError
from cairn.formats.limits import MAX_CONFIG_BYTES
from cairn.formats.reframing import Outgoing
from cairn.formats.strict_json import read_json
from cairn.workflows.computed_weights import Compute, Computed, Weights, copied
from cairn.workflows.lora_files import Adapter
from cairn.workflows.merge_card import Parents, card_of, noted

_CONFIG = "config.json"


def merged_with(base: Weights, adapter: Adapter, parents: Parents) -> Computed:
    """The base with the adapter's updates added, and its replaced weights in place of its own.

    Sums are made in float32 and rounded once to the base's type.
    """
    computed: dict[str, Compute] = {
        name: partial(_added, base, adapter, name, 1) for name in adapter.pairs
    }
    tensors = [copied(named) for named in base.tensors.values()]
    for name, own in adapter.replaced.items():
        computed[name] = partial(adapter.weights.array, own)
        tensors = [one for one in tensors if one.name != name]
        tensors.append(_renamed(adapter, name, own))
    recipe = {"method": "merge", "adapter": adapter.weights.label, "base": base.label}
    texts = {**card_of(parents, "merge", recipe), **_configuration(base, adapter)}
    return Computed(tensors, computed, noted(recipe), texts)


def _configuration(base: Weights, adapter: Adapter) -> dict[str, str]:
    """That of the base with the head that the adapter brings, and the classes it tells apart."""
    has_new_head = not adapter.replaced.keys() <= base.tensors.keys()
    if not (has_new_head or adapter.classes) or _CONFIG not in base.found.files:
        return {}
    with base.found.files[_CONFIG].open() as source:
        said = read_json(source, MAX_CONFIG_BYTES, what=_CONFIG)
    if not isinstance(said, dict):
        return {}
    if has_new_head and adapter.of_class:
        said["architectures"] = [adapter.of_class]
    if adapter.classes:
        said["id2label"] = {str(number): name for number, name in enumerate(adapter.classes)}
        said["label2id"] = {name: number for number, name in enumerate(adapter.classes)}
    return {_CONFIG: json.dumps(said, indent=2, ensure_ascii=False) + "\n"}


def unmerged(merged: Weights, adapter: Adapter, parents: Parents) -> Computed:
    """The merged model with the adapter's updates taken off: the base, to rounding.

    Raises:
        RequestError: the adapter replaced weights, and what they were is lost.
    """
    if adapter.replaced:
        names = ", ".join(list(adapter.replaced)[:3])
        raise RequestError(
            f"{adapter.weights.label} replaced {names}: what was there before is not in"
            f" {merged.label}; take these from the base itself"
        )
    computed: dict[str, Compute] = {
        name: partial(_added, merged, adapter, name, -1) for name in adapter.pairs
    }
    tensors = [copied(named) for named in merged.tensors.values()]
    recipe = {"method": "unmerge", "adapter": adapter.weights.label, "merged": merged.label}
    return Computed(tensors, computed, noted(recipe), card_of(parents, "merge", recipe))


def _added(base: Weights, adapter: Adapter, name: str, sign: int) -> NDArray[np.float32]:
    update = adapter.update(name)
    if not np.isfinite(update).all():
        raise RequestError(
            f"what {adapter.weights.label} adds to {name} holds NaN or infinity: nothing was merged"
        )
    values = base.floats(name)
    values += np.float32(sign) * update
    return values


def _renamed(adapter: Adapter, name: str, own: str) -> Outgoing:
    named: Any = adapter.weights.tensors[own]
    return Outgoing(name, named.path, named.tensor, named.tensor.dtype)
