"""What a fine-tuning's run is told of where it begins, and what is told of how it ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cairn
from cairn.domain import BaseModel, TrainingData, TrainingRecipe

NEWEST_KEPT = 2  # beside the best
# The program is Cairn, whose release is recorded; the code where a user calls it says nothing.
CODE = Path(Path(cairn.__file__).anchor)


@dataclass(frozen=True, slots=True)
class Story:
    """What the record of a run says: where it is, what it began with, how it is started again."""

    folder: Path
    name: str
    base: BaseModel
    data: Sequence[TrainingData]
    data_digest: str
    started: TrainingRecipe


@dataclass(frozen=True, slots=True)
class Ended:
    """How training ended: after `step` of `total`; the weights are those of `chosen_step`.

    `measured` are the numbers of the chosen step, empty where nothing was held out or no measure
    was a number: then the last step is chosen.
    """

    step: int
    total: int
    chosen_step: int
    measured: dict[str, float]
    is_interrupted: bool = False
