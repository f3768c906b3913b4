"""Rows of one side of a split as examples of a task, for a DataLoader."""

from collections.abc import Sequence

from torch.utils.data import Dataset

from cairn.training.finetuning.tasks.base import Example, Task
from cairn.training.rows import Rows, naming_row, row_name
from cairn.training.sampler import SampleIndex


class Samples(Dataset[Example]):
    """Sample `i` is made of the row that stands at place `i` of `numbers`.

    Those that are learnt from are varied as the task does it, those that are measured with not.
    """

    def __init__(
        self, task: Task, rows: Rows, numbers: Sequence[int], *, are_learnt: bool = False
    ) -> None:
        self._task = task
        self._are_learnt = are_learnt
        self._rows = rows
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: SampleIndex) -> Example:
        number = self._numbers[index]
        row = self._rows[number]
        with naming_row(row_name(self._rows, number)):
            return self._task.varied(row, index) if self._are_learnt else self._task.example(row)
