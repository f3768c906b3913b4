"""Which steps of a training series are kept: the last few, every so many, the best by a number."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from cairn.errors import RequestError


@dataclass(frozen=True, slots=True)
class Retention:
    """A step is kept if any rule keeps it; the newest one always is.

    `last`: the newest so many. `every`: steps that this number divides. `best`: so many with the
    lowest (`highest`: highest) value of `metric`; steps that do not have it are not among them.

    Raises:
        RequestError: there is no rule, or one that means nothing.
    """

    last: int = 0
    every: int = 0
    best: int = 0
    metric: str = "loss"
    highest: bool = False

    def __post_init__(self) -> None:
        if min(self.last, self.every, self.best) < 0:
            raise RequestError("a number of steps to keep cannot be negative")
        if not (self.last or self.every or self.best):
            raise RequestError("nothing says which steps to keep: give last, every or best")

    def kept(self, steps: Mapping[int, Mapping[str, Any]]) -> set[int]:
        """Which of these steps, each with its metadata, are kept."""
        ordered = sorted(steps)
        found = set(ordered[-max(1, self.last) :])
        if self.every:
            found.update(step for step in ordered if step % self.every == 0)
        if self.best:
            found.update(self._ranked(steps)[: self.best])
        return found

    def _ranked(self, steps: Mapping[int, Mapping[str, Any]]) -> list[int]:
        """Steps that have the metric, the best first, of equals the newest."""
        values = {}
        for step, metadata in steps.items():
            value = metadata.get(self.metric)
            if isinstance(value, int | float) and isfinite(value):
                values[step] = -value if self.highest else value
        return sorted(values, key=lambda step: (values[step], -step))
