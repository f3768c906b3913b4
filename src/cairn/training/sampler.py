"""The order of samples, and how many of them the training loop has had."""

from collections.abc import Iterator
from typing import Any, Self

import torch
from torch.utils.data import DataLoader, Sampler

from cairn.errors import RequestError
from cairn.training.seeds import loader_seed, order, sample_seed


class SampleIndex(int):
    """The index of a sample with a `seed` of its own in this epoch, for augmentation.

    `np.random.default_rng(index.seed)` in a data set gives the same augmentation in whatever
    worker, and after a resume.
    """

    seed: int

    def __new__(cls, index: int, seed: int) -> Self:
        """An index and its seed."""
        made = super().__new__(cls, index)
        made.seed = seed
        return made

    def __reduce__(self) -> tuple[type[Self], tuple[int, int]]:
        return type(self), (int(self), self.seed)


class EpochSampler(Sampler[int]):
    """Every sample once in an epoch, in an order that follows from seed and epoch alone.

    A sample counts when the loop gets it by `batches`, not when a worker fetches it ahead.

    Where several ranks train, rank `r` of `n` takes every `n`th sample from the `r`th on, and all
    count together: `position` is in samples of all ranks. So the batches of a step have the same
    samples on any number of ranks whose batches are together as large. Ranks get equally many:
    the last of an epoch may be samples of its beginning once more.
    """

    def __init__(
        self, size: int, *, seed: int, shuffle: bool = True, rank: int = 0, ranks: int = 1
    ) -> None:
        """`size`: samples in the data set.

        Raises:
            RequestError: there are none, or no such rank.
        """
        if size < 1:
            raise RequestError(f"{size} samples have no order")
        if not 0 <= rank < ranks:
            raise RequestError(f"there is no rank {rank} among {ranks}")
        self.rank = rank
        self.ranks = ranks
        self.size = size
        self.seed = seed
        self.shuffle = shuffle
        self.epoch = 0
        self.position = 0
        self._generator = torch.Generator()
        self._is_counted = False

    def __iter__(self) -> Iterator[int]:
        """The indices that are left of this epoch, each a `SampleIndex`, for `batches` alone.

        Raises:
            RequestError: a loop goes over the loader itself, and nobody would count.
        """
        if not self._is_counted:
            raise RequestError(
                "batches that nobody counts: go over sampler.batches(loader), not over the loader"
            )
        indices = order(self.size, self.seed, self.epoch) if self.shuffle else range(self.size)
        epoch, first = self.epoch, self.position + self.rank
        for place in range(first, first + len(self) * self.ranks, self.ranks):
            index = int(indices[place % self.size])
            yield SampleIndex(index, sample_seed(self.seed, epoch, index))

    def __len__(self) -> int:
        """How many samples are left of this epoch, for this rank."""
        return -(-(self.size - self.position) // self.ranks)

    def batches(self, loader: DataLoader[Any]) -> Iterator[Any]:
        """The batches that are left of this epoch; at its end the next one begins.

        The loader is given a random generator unless it has one: it would draw from the one of
        the whole process when it starts, and a resume starts it once more.

        Raises:
            RequestError: the loader takes its samples from elsewhere.
        """
        if loader.sampler is not self:
            raise RequestError(
                "the loader takes its samples from elsewhere: make it by"
                " DataLoader(data, batch_size=..., sampler=sampler)"
            )
        if loader.generator is None:
            loader.generator = self._generator
        if loader.generator is self._generator:
            self._generator.manual_seed(loader_seed(self.seed, self.epoch, self.rank))
        self._is_counted = True
        try:
            for batch in loader:
                taken = (loader.batch_size or 1) * self.ranks
                self.position = min(self.size, self.position + taken)
                yield batch
        finally:
            self._is_counted = False
        self.epoch += 1
        self.position = 0

    def state_dict(self) -> dict[str, Any]:
        """Where the loop stands, and in which order."""
        return {
            "size": self.size,
            "seed": self.seed,
            "shuffle": self.shuffle,
            "epoch": self.epoch,
            "position": self.position,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there, in the saved order.

        Raises:
            RequestError: it was another number of samples.
        """
        if state["size"] != self.size:
            raise RequestError(
                f"the data have {self.size} samples and had {state['size']}:"
                " a place among others means nothing here"
            )
        self.seed, self.shuffle = state["seed"], state["shuffle"]
        self.epoch, self.position = state["epoch"], state["position"]
