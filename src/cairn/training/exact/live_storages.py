"""Which storages are alive while a model runs, what each is for, and when they were most.

Works on fake tensors and on real ones alike: torch shows every operation's results to a dispatch
mode. What a kernel takes for itself while it runs is not seen.
"""

import weakref
from collections import Counter
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Kind(Enum):
    """What a storage is for."""

    WEIGHTS = "weights"
    GRADIENTS = "gradients"
    OPTIMIZER = "optimizer"
    ACTIVATIONS = "activations"
    LOGITS = "logits"
    WORKSPACE = "workspace"


class LiveStorages(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up storages from their first sight to their end.

    `kind` is what new storages are taken for; `is_logits` tells scores over a vocabulary, and
    their gradients, by their shape.
    """

    def __init__(self, is_logits: Callable[[torch.Size], bool] | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kind = Kind.ACTIVATIONS
        self.peak_bytes = 0
        self.at_peak: dict[Kind, int] = {}
        self._is_logits = is_logits
        self._held: dict[int, tuple[Kind, int]] = {}
        self._watches: dict[int, weakref.ref[Any]] = {}
        self._totals: Counter[Kind] = Counter()
        self._live_bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation and look at what came out."""
        del types
        made = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, torch.Tensor):
                self._see(leaf)
        return made

    def start_peak(self) -> None:
        """Forget the fullest moment so far."""
        self.peak_bytes = self._live_bytes
        self.at_peak = dict(self._totals)

    def mark(self, tensors: Iterable[torch.Tensor], kind: Kind) -> None:
        """These are of that kind, whether they were seen before or not."""
        for tensor in tensors:
            self._see(tensor)
            storage = tensor.untyped_storage()
            was, size = self._held[storage._cdata]
            self._held[storage._cdata] = (kind, size)
            self._totals[was] -= size
            self._totals[kind] += size

    def _see(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._held:
            return
        size = storage.nbytes()
        is_logits = self._is_logits is not None and self._is_logits(tensor.shape)
        kind = Kind.LOGITS if is_logits else self.kind
        self._held[key] = (kind, size)
        self._watches[key] = weakref.ref(storage, lambda _: self._gone(key))
        self._totals[kind] += size
        self._live_bytes += size
        if self._live_bytes > self.peak_bytes:
            self.peak_bytes = self._live_bytes
            self.at_peak = dict(self._totals)

    def _gone(self, key: int) -> None:
        kind, size = self._held.pop(key)
        del self._watches[key]
        self._totals[kind] -= size
        self._live_bytes -= size
