"""CSV and JSON lines: where each record starts is noted once, and records are read from there.

https://www.rfc-editor.org/rfc/rfc4180 and https://jsonlines.org
"""

import csv
import io
import json
from abc import abstractmethod
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cairn.errors import LimitError, MalformedError
from cairn.training.rows.base import Row, Rows, Told

MAX_RECORD_BYTES = 64 << 20
"""One record of text is held in memory; a longer one is no row of training data."""

_QUOTE, _BOM = b'"', b"\xef\xbb\xbf"


class _Records(Rows):
    """Records of a text file; the offsets of their first bytes are kept, 8 bytes for each."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._file = path.open("rb")  # for as long as the rows are used
        self._starts = array("q", self._record_starts())
        self._size = path.stat().st_size

    @abstractmethod
    def _record_starts(self) -> Iterator[int]:
        """Where records start, from the first byte of the file on."""

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        """Every line with its offset."""
        self._file.seek(0)
        offset = 0
        while line := self._file.readline(MAX_RECORD_BYTES + 1):
            if len(line) > MAX_RECORD_BYTES:
                raise LimitError("a record of over 64 MiB", source=self.name, offset=offset)
            yield offset, line
            offset += len(line)

    def _text(self, number: int) -> str:
        start = self._starts[number]
        last = number + 1 == len(self._starts)
        end = self._size if last else self._starts[number + 1]
        self._file.seek(start)
        content = self._file.read(end - start)
        try:
            return content.removeprefix(_BOM).decode()
        except UnicodeDecodeError as error:
            raise MalformedError(
                "text that is not UTF-8", source=self.name, offset=start + error.start
            ) from None


class JsonLines(_Records):
    """A JSON object on each line; empty lines are no rows."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.columns = tuple(self[0]) if self._starts else ()

    def _record_starts(self) -> Iterator[int]:
        return (offset for offset, line in self._lines() if line.strip())

    def __len__(self) -> int:
        """See `Rows`."""
        return len(self._starts)

    def __getitem__(self, number: int) -> Row:
        """See `Rows`."""
        try:
            row: Any = json.loads(self._text(number))
        except (ValueError, RecursionError) as error:
            raise self._malformed(number, f"no JSON: {error}") from None
        if not isinstance(row, dict):
            raise self._malformed(number, "no JSON object with the names of columns")
        return Told(row, self.name, number)

    def _malformed(self, number: int, what: str) -> MalformedError:
        return MalformedError(f"row {number + 1} is {what}", source=self.name)


class Csv(_Records):
    """Comma- or tab-separated values under a line of names; values are texts."""

    def __init__(self, path: Path) -> None:
        self._separator = "\t" if path.suffix == ".tsv" else ","
        super().__init__(path)
        self.columns = tuple(self._fields(0)) if self._starts else ()

    def _record_starts(self) -> Iterator[int]:
        """A line belongs to the record before it while that has a quote that is not closed."""
        is_open = False
        for offset, line in self._lines():
            if not is_open and line.strip():
                yield offset
            is_open = self._is_open_after(
                line if offset else line.removeprefix(_BOM), is_open=is_open
            )

    def _is_open_after(self, line: bytes, *, is_open: bool) -> bool:
        """Whether a quoted value goes on in the next line; elsewhere in a value it is a letter."""
        opening = self._separator.encode() + _QUOTE
        at = 0
        if not is_open and line.startswith(_QUOTE):
            at, is_open = 1, True
        while True:
            found = line.find(_QUOTE if is_open else opening, at)
            if found < 0:
                return is_open
            if not is_open:
                at, is_open = found + len(opening), True
            elif line.startswith(_QUOTE, found + 1):
                at = found + 2  # two are a letter
            else:
                at, is_open = found + 1, False

    def __len__(self) -> int:
        """See `Rows`."""
        return max(0, len(self._starts) - 1)

    def __getitem__(self, number: int) -> Row:
        """See `Rows`."""
        fields = self._fields(number + 1)
        if len(fields) != len(self.columns):
            raise MalformedError(
                f"row {number + 1} has {len(fields)} values, the head {len(self.columns)} names",
                source=self.name,
            )
        return dict(zip(self.columns, fields, strict=True))

    def _fields(self, number: int) -> list[str]:
        lines = io.StringIO(self._text(number), newline="")  # ends of lines are as csv knows them
        reader = csv.reader(lines, delimiter=self._separator, strict=True)
        try:
            found, rest = next(reader, []), list(reader)
        except csv.Error as error:
            raise MalformedError(f"row {number}: {error}", source=self.name) from None
        if any(value.strip() for more in rest for value in more):
            raise MalformedError(f"row {number} has an end of line within", source=self.name)
        return found
