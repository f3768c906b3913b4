"""Loops of accelerate, resumed to the bit: what `Accelerator.save_state` loses, kept.

`skip_first_batches` starts the loader after the random numbers were put back, and starting draws
some: in the middle of an epoch dropout is another one from then on. The count of micro-batches
is in no file at all (`Accelerator.step`, accelerate 1.15).
"""

from collections.abc import Mapping
from typing import Any

from cairn.errors import MissingExtraError

try:
    from accelerate import Accelerator  # type: ignore[import-untyped]
    from accelerate.optimizer import AcceleratedOptimizer  # type: ignore[import-untyped]
    from accelerate.scheduler import AcceleratedScheduler  # type: ignore[import-untyped]
except ModuleNotFoundError as error:
    raise MissingExtraError("this needs accelerate: pip install accelerate") from error

from cairn.training.loops.batches import Batches

__all__ = ["Batches", "parts_of"]


class Accumulation:
    """How many micro-batches of a step an accelerator has counted."""

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator

    def state_dict(self) -> dict[str, Any]:
        """The count."""
        return {"step": self._accelerator.step}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on counting."""
        self._accelerator.step = state["step"]


def parts_of(accelerator: Accelerator, **objects: Any) -> dict[str, Any]:
    """What a loop has prepared, as parts for `save`, `resume` and `Run`.

    `objects`: prepared models, optimizers, schedulers, each under a name; `Batches` of the
    prepared loader; whatever else has a state. The scaler and the count of micro-batches are added.
    """
    parts = {name: _inside(one) for name, one in objects.items()}
    if accelerator.scaler is not None:
        parts["scaler"] = accelerator.scaler
    return {**parts, "accumulation": Accumulation(accelerator)}


def _inside(one: Any) -> Any:
    """What accelerate has wrapped."""
    if isinstance(one, AcceleratedOptimizer):
        return one.optimizer
    if isinstance(one, AcceleratedScheduler):
        return one.scheduler
    return one
