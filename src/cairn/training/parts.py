"""What a checkpoint keeps: parts, each with a state that is read, checked and put back."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from torch import Tensor

from cairn.errors import RequestError
from cairn.training.tensors import TensorTable
from cairn.training.values import Decoder, Encoder, Json, SavedTensors

_MAX_NAMED = 5


class Part(ABC):
    """One object of a training loop under the name it was handed over with.

    `kind` is what files call this sort of part.
    """

    kind: ClassVar[str]

    def __init__(self, name: str, owner: object) -> None:
        self.name = name
        self.class_name = type(owner).__qualname__

    @abstractmethod
    def state(self) -> Any:
        """Everything to keep, as values; its tensors are the object's own, not copies."""

    @abstractmethod
    def load(self, state: Any) -> None:
        """Put a state back."""

    def check(self, saved: Json, tensors: SavedTensors) -> None:
        """Whether a saved state fits, before any part of the checkpoint is put back.

        Raises:
            RequestError: it does not.
        """
        del saved, tensors

    def keep(self) -> Any:
        """What `load` takes to undo another `load`, or None where that is not needed."""
        return None

    def decoder(self, tensors: SavedTensors) -> Decoder:
        """What makes values of the saved JSON."""
        return Decoder(tensors, self.name, self.alike())

    def alike(self) -> Callable[[str], Tensor | None]:
        """By the name of a saved tensor, the one here that is shared out among ranks, if it is."""
        return self.encoded()[1].sharded.get

    def encoded(self) -> tuple[Json, TensorTable]:
        """The state as JSON and tensors.

        Raises:
            RequestError: something in it cannot be kept exactly.
        """
        table = TensorTable()
        return Encoder(table, self.name).encode(self.state()), table

    def refused(self, error: Exception) -> RequestError:
        """That `load` failed, when all that was put back before it is undone."""
        return self.refusal(f"does not take the saved state: {error}")

    def refusal(self, why: str) -> RequestError:
        """That a saved state does not fit, and what to do."""
        return RequestError(
            f"{self.name}: {why}; nothing was changed: build it as it was when it was saved"
        )


def listed(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return ", ".join(names[:_MAX_NAMED]) + more
