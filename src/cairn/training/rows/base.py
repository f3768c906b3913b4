"""Rows by their number, in the order of the data, without holding them in memory."""

import hashlib
import json
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any, NoReturn

from cairn.errors import MalformedError, RequestError

Row = Mapping[str, Any]
"""Values by the name of their column."""
FILE = "file"
"""The column that has the path of a picture or sound."""


class Told(dict[str, Any]):
    """A row of a source whose rows may lack a column: asked for it, it says which row it is."""

    def __init__(self, values: Row, rows: str, number: int) -> None:
        super().__init__(values)
        self._place = rows, number

    def __missing__(self, column: str) -> NoReturn:
        """See `dict`.

        Raises:
            MalformedError: always.
        """
        rows, number = self._place
        raise MalformedError(f"row {number + 1} has no {column!r}", source=rows)


class Rows(ABC):
    """A number of rows that are read one at a time, in any order.

    `name` is what messages call it, `columns` are the names of the first row's values.
    """

    name: str
    columns: tuple[str, ...]

    @abstractmethod
    def __len__(self) -> int:
        """How many rows there are."""

    @abstractmethod
    def __getitem__(self, number: int) -> Row:
        """The row of this number, from 0.

        Raises:
            MalformedError: it cannot be read.
        """

    def __iter__(self) -> Iterator[Row]:
        """All rows in their order."""
        return (self[number] for number in range(len(self)))


def content(row: Row) -> bytes:
    """What a row says, the same wherever it stands and its file lies; what agrees has the same."""
    told = dict(row)
    if not isinstance(file := told.pop(FILE, None), Path):
        return json.dumps(row, sort_keys=True, ensure_ascii=False, default=_plain).encode()
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").digest()
    return digest + json.dumps(told, sort_keys=True, default=str).encode()


def _plain(value: object) -> str:
    """What JSON has no word for: bytes in hexadecimal, paths and numbers of libraries as text."""
    return value.hex() if isinstance(value, bytes) else str(value)


class Joined(Rows):
    """Several files as one."""

    def __init__(self, parts: Sequence[Rows]) -> None:
        self.name = parts[0].name if len(parts) == 1 else f"{parts[0].name} and others"
        self.columns = parts[0].columns
        self._parts = parts
        self._ends = list(accumulate(len(part) for part in parts))

    def __len__(self) -> int:
        """See `Rows`."""
        return self._ends[-1]

    def __getitem__(self, number: int) -> Row:
        """See `Rows`."""
        at = bisect_right(self._ends, number)
        return self._parts[at][number - (self._ends[at - 1] if at else 0)]


def row_name(rows: Rows, number: int) -> str:
    """What a message calls a row; `number` is from 0."""
    return f"{rows.name}, row {number + 1}"


@contextmanager
def naming_row(name: str) -> Iterator[None]:
    """Say which row it is that does not do.

    Raises:
        RequestError: it does not.
    """
    try:
        yield
    except RequestError as error:
        raise RequestError(f"{name}: {error}") from error
