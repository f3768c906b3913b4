"""The order that another library's loop takes samples in, known well enough to be had again.

Most samplers draw their order from the random numbers of the process when an epoch begins
(`torch.utils.data.RandomSampler`, `LengthGroupedSampler` of transformers) and forget which those
were. Here they are noted at that instant, and put back when the epoch begins once more.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, Sampler

from cairn.errors import RequestError
from cairn.training.sampler import SampleIndex
from cairn.training.seeds import sample_seed
from cairn.training.stateful import RandomStatesPart


class KnownOrder(Sampler[Any]):
    """A sampler, the random numbers its epoch began with, and a seed for each of its samples.

    Indices come as `SampleIndex`, so a data set may augment by `index.seed`.
    """

    def __init__(self, inner: Any) -> None:
        """`inner`: the sampler of a loader."""
        self.inner = inner
        self.seed = torch.initial_seed()
        self.epoch = 0
        self.skipped = 0
        """Samples of the epoch to come that the loop had before."""
        self._began: Any = None
        self._random = RandomStatesPart("random")

    def __iter__(self) -> Iterator[Any]:
        """The samples of an epoch; of one that had begun before, those after the skipped."""
        if self._began is None:
            self._began = self._states()
        else:
            self._set_states(self._began)
        skipped, self.skipped = self.skipped, 0
        for index in islice(iter(self.inner), skipped, None):
            yield self._seeded(index)

    def __len__(self) -> int:
        """As many as the sampler has."""
        return len(self.inner)

    def set_epoch(self, epoch: int) -> None:
        """What a loop says that tells its samplers."""
        self.epoch = epoch
        if hasattr(self.inner, "set_epoch"):
            self.inner.set_epoch(epoch)

    def end(self) -> None:
        """The epoch is over: the next has an order of its own."""
        self._began = None
        self.epoch += 1

    def state_dict(self) -> dict[str, Any]:
        """The epoch, what it began with (None before), seeds."""
        # accelerate's seedable sampler takes its seed from the process once, and keeps it nowhere
        own = getattr(self.inner, "initial_seed", None)
        return {
            "epoch": self.epoch,
            "began": self._began,
            "seed": self.seed,
            "own_seed": own if isinstance(own, int) else None,
            "samples": len(self),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Have the epoch begin once more as it did.

        Raises:
            RequestError: it was another number of samples.
        """
        if state["samples"] != len(self):
            raise RequestError(
                f"the data have {len(self)} samples and had {state['samples']}:"
                " a place among others means nothing here"
            )
        self.epoch, self.seed, self._began = state["epoch"], state["seed"], state["began"]
        if state["own_seed"] is not None:
            self.inner.initial_seed = state["own_seed"]

    def _seeded(self, index: Any) -> Any:
        if isinstance(index, int) and not isinstance(index, bool | SampleIndex):
            return SampleIndex(index, sample_seed(self.seed, self.epoch, index))
        return index

    def _states(self) -> Any:
        generator = getattr(self.inner, "generator", None)
        own = generator.get_state() if isinstance(generator, torch.Generator) else None
        return {"process": self._random.state(), "own": own}

    def _set_states(self, states: Any) -> None:
        self._random.load(states["process"])
        if states["own"] is not None:
            if self.inner.generator is None:  # made by the first epoch
                self.inner.generator = torch.Generator()
            self.inner.generator.set_state(states["own"])


def known_order(loader: Any) -> KnownOrder:
    """Note the order of a loader from now on.

    Raises:
        RequestError: the loader has no sampler to note: its data are a stream, or it makes
            batches in a way of its own.
    """
    batches = _innermost(loader)
    sampler = getattr(batches, "sampler", None)
    if isinstance(sampler, KnownOrder):
        return sampler
    is_stream = isinstance(loader.dataset, IterableDataset)
    if is_stream or sampler is None or not isinstance(batches, BatchSampler):
        raise RequestError(
            f"the order of a {type(loader).__qualname__} without a sampler of samples cannot be"
            " had again: use data with __getitem__ and __len__"
        )
    known = KnownOrder(sampler)
    for layer in _layers(loader):
        if getattr(layer, "sampler", None) is sampler:
            layer.sampler = known
    return known


def _layers(loader: Any) -> Iterator[Any]:
    """Samplers of batches from the outermost in; accelerate wraps them for several processes."""
    layer = getattr(loader, "batch_sampler", None)
    while layer is not None:
        yield layer
        layer = getattr(layer, "batch_sampler", None)


def _innermost(loader: Any) -> Any:
    return next(reversed(list(_layers(loader))), None)


def batch_samples(loader: DataLoader[Any]) -> int:
    """Samples that a batch takes from the sampler of this process."""
    size = getattr(_innermost(loader), "batch_size", None)
    return int(size or 1)
