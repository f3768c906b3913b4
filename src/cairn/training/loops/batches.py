"""The batches of any loader, from where the loop had come to, the random numbers as they were.

For a plain `DataLoader` and one that accelerate has prepared. A loader draws from the random
numbers of the process when it starts, and a resume starts it once more: they are put back after.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from torch.utils.data import DataLoader

from cairn.errors import RequestError
from cairn.training.loops.order import batch_samples, known_order
from cairn.training.stateful import RandomStatesPart


class Batches:
    """Goes over a loader's epochs and counts; a part of a checkpoint like any other.

    `epoch` counts those that are over, `position` the batches the loop has had of this one.
    """

    def __init__(self, loader: DataLoader[Any]) -> None:
        """`loader`: of data with indices; shuffled, if so, by a sampler.

        Raises:
            RequestError: the data are a stream.
        """
        self._loader = loader
        self._order = known_order(loader)
        self._random = RandomStatesPart("random")
        self._is_resumed = False
        self.epoch = 0
        self.position = 0

    def __iter__(self) -> Iterator[Any]:
        """The batches that are left of this epoch; at its end the next one begins."""
        begins_again = self._is_resumed and self.position > 0
        self._is_resumed = False
        random = self._random.state() if begins_again else None
        for batch in self._left():
            if random is not None:
                self._random.load(random)
                random = None
            self.position += 1
            yield batch
        if random is not None:  # nothing was left
            self._random.load(random)
        self._order.end()
        self.epoch, self.position = self._order.epoch, 0

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return len(self._loader)

    def _left(self) -> Iterator[Any]:
        if hasattr(self._loader, "set_epoch"):
            self._loader.set_epoch(self.epoch)
        self._order.set_epoch(self.epoch)
        if self.position and hasattr(self._loader, "base_dataloader"):
            from accelerate import skip_first_batches  # type: ignore[import-untyped]

            # Its batches are shared among processes: whole ones are left out, not samples.
            return iter(skip_first_batches(self._loader, self.position))
        self._order.skipped = self.position * batch_samples(self._loader)
        return iter(self._loader)

    def state_dict(self) -> dict[str, Any]:
        """Where the loop stands, and what the order of its epoch follows from."""
        return {
            "epoch": self.epoch,
            "position": self.position,
            "batches": len(self),
            "order": self._order.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there.

        Raises:
            RequestError: the loader makes another number of batches.
        """
        if state["batches"] != len(self):
            raise RequestError(
                f"the loader makes {len(self)} batches and made {state['batches']}:"
                " a place among others means nothing here"
            )
        self._order.load_state_dict(state["order"])
        self.epoch, self.position = state["epoch"], state["position"]
        self._is_resumed = True
