"""Rows of one side of a split as examples of a task, for a DataLoader."""

from collections.abc import Sequence

from torch.utils.data import Dataset

from cairn.training.finetuning.tasks.base import Example, Task
from cairn.training.rows import Rows
from cairn.training.sampler import SampleIndex


class Samples(Dataset[Example]):
    """Sample `i` is made of the row that stands at place `i` of `numbers`."""

    def __init__(self, task: Task, rows: Rows, numbers: Sequence[int]) -> None:
        self._task = task
        self._rows = rows
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: SampleIndex) -> Example:
        return self._task.example(self._rows[self._numbers[index]], index)
