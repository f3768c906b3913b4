"""How good a run is so far: its best step, and how long nothing was better."""

import math
from dataclasses import dataclass, field
from typing import Any

from cairn.training.finetuning.tasks.base import Objective


@dataclass(slots=True)
class Standing:
    """How a run stands: what a checkpoint keeps of the loop beside its parts.

    `measured` are the numbers of `best_step`, which is None until a measure was a number.
    """

    best_step: int | None = None
    measured: dict[str, float] = field(default_factory=dict)
    without_better: int = 0
    is_over: bool = False

    def said(self) -> dict[str, Any]:
        """As values of a checkpoint."""
        return {name: getattr(self, name) for name in self.__slots__}

    def note(self, step: int, measured: dict[str, float], objective: Objective) -> None:
        """Take note of an evaluation; what is no finite number brings nothing, and is never best.

        Of equals the newest is the best, as for what a run keeps; patience wants a better one.
        """
        value, best = (
            one.get(f"eval_{objective.metric}", math.nan) for one in (measured, self.measured)
        )
        gain = (value - best) * (1 if objective.highest else -1)
        is_first = self.best_step is None
        is_number = math.isfinite(value)  # no other is among the numbers by which steps are kept
        is_better = is_number and (is_first or gain > 0)
        self.without_better = 0 if is_better else self.without_better + 1
        if is_number and (is_first or gain >= 0):
            self.best_step, self.measured = step, measured
