"""What fine-tuning tells while it goes on, and whether it should stop."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Progress:
    """One step is done: of `total`, in `epoch` (from 0, with a fraction).

    `measured` is not empty where held-out samples were looked at.
    """

    step: int
    total: int
    epoch: float
    loss: float
    learning_rate: float
    measured: Mapping[str, float] = field(default_factory=dict)
    is_saved: bool = False


@dataclass(frozen=True, slots=True)
class Watcher:
    """Who looks on: is told of every step, and asked after it whether training is to stop.

    `said` is told in words, before training, what was chosen and what is to be known of the rows.
    """

    told: Callable[[Progress], None] = lambda _: None
    is_to_stop: Callable[[], bool] = lambda: False
    said: Callable[[str], None] = lambda _: None
