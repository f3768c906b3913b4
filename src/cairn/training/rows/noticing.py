"""Which rows lack a text where one is wanted: noticed as they are read for something else."""

from collections.abc import Collection
from typing import Any

from cairn.training.rows.base import Row, Rows


class Noticed(Rows):
    """The same rows; those are remembered in which one of `texts`, names of columns, is empty."""

    def __init__(self, rows: Rows, texts: Collection[str]) -> None:
        self.name, self.columns = rows.name, rows.columns
        self._rows = rows
        self._texts = texts
        self._was_read = bytearray(len(rows))
        self._empty: set[int] = set()

    def __len__(self) -> int:
        """See `Rows`."""
        return len(self._rows)

    def __getitem__(self, number: int) -> Row:
        """See `Rows`."""
        row = self._rows[number]
        if not self._was_read[number]:
            self._was_read[number] = 1
            if any(_is_empty(row.get(column)) for column in self._texts):
                self._empty.add(number)
        return row

    def count_empty(self) -> int:
        """How many rows have an empty text; reads only those that nobody has read yet."""
        number = -1
        while self._texts and (number := self._was_read.find(0, number + 1)) >= 0:
            _ = self[number]
        return len(self._empty)


def _is_empty(value: Any) -> bool:
    """Blanks alone, or a list without words; what is no text at all is refused elsewhere."""
    return not value.strip() if isinstance(value, str) else value == []
