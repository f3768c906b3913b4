"""The verbs that put an adapter into its base and take it out again."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cairn.errors import RequestError
from cairn.formats.reframing import Outgoing
from cairn.workflows.computed_weights import Compute, Computed, Weights, copied
from cairn.workflows.lora_files import Adapter
from cairn.workflows.merge_card import Parents, card_of, noted


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
    return Computed(tensors, computed, noted(recipe), card_of(parents, "merge", recipe))


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
    values = base.floats(name)
    values += np.float32(sign) * adapter.update(name)
    return values


def _renamed(adapter: Adapter, name: str, own: str) -> Outgoing:
    named: Any = adapter.weights.tensors[own]
    return Outgoing(name, named.path, named.tensor, named.tensor.dtype)
