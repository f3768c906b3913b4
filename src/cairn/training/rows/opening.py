"""Opens a file, or a folder as data sets are laid out, as rows to learn from and measure with."""

import hashlib
import re
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from pathlib import Path

from cairn.errors import EntryNotFoundError, RequestError
from cairn.training.rows.base import Joined, Rows
from cairn.training.rows.lines import Csv, JsonLines
from cairn.training.rows.media import MEDIA, NAME, Described, Labelled
from cairn.training.rows.parquet import Parquet

_READERS: dict[str, Callable[[Path], Rows]] = {
    ".csv": Csv,
    ".tsv": Csv,
    ".jsonl": JsonLines,
    ".ndjson": JsonLines,
    ".parquet": Parquet,
}
# Files of a data set that are not learnt from, by the word in their name or folder.
_MEASURED = re.compile(r"(?:\A|[^a-z])(?:valid|validation|dev|eval|test)(?:[^a-z]|\Z)")


@dataclass(frozen=True, slots=True)
class Data:
    """Rows to learn from, rows to measure with if the data set has its own, and a digest of all.

    The digest of one file is its SHA-256; of several that of their names and digests.
    """

    rows: Rows
    measured: Rows | None
    digest: str


def open_data(place: Path) -> Data:
    """The rows of a file or folder.

    Raises:
        EntryNotFoundError: there is nothing. RequestError: nothing there is data.
        MalformedError, LimitError: it cannot be read. MissingExtraError: it is Parquet, and
        pyarrow is not installed.
    """
    if not place.exists():
        raise EntryNotFoundError(f"{place}: no such file or folder")
    if place.is_file():
        return Data(_opened([place]), None, _digest([place], place.parent))
    tables = _found(place, _READERS)
    media = _found(place, MEDIA)
    files = tables or media  # a table tells of the pictures and sounds beside it
    measured = [path for path in files if _MEASURED.search(_inside(path, place).lower())]
    learnt = [path for path in files if path not in measured]
    if not learnt:
        raise RequestError(f"{place.name} has no file to learn from: {_endings()}, or media")
    return Data(
        _opened(learnt) if tables else Labelled(learnt, place.name),
        (_opened(measured) if tables else Labelled(measured, place.name)) if measured else None,
        _digest(sorted((*tables, *media)), place),
    )


def _found(folder: Path, endings: Container[str]) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in endings)


def _opened(paths: list[Path]) -> Rows:
    parts: list[Rows] = []
    for path in paths:
        reader = _READERS.get(path.suffix.lower())
        if reader is None:
            raise RequestError(f"{path.name} is not of a kind that is read: {_endings()}")
        rows = reader(path)
        parts.append(Described(rows, path.parent) if NAME in rows.columns else rows)
    rows = parts[0] if len(parts) == 1 else Joined(parts)
    if not len(rows):
        raise RequestError(f"{rows.name} has no rows")
    return rows


def _endings() -> str:
    return ", ".join(_READERS)


def _inside(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _digest(paths: Iterable[Path], folder: Path) -> str:
    told = [(_inside(path, folder), _file_digest(path)) for path in paths]
    if len(told) == 1:
        return f"sha256:{told[0][1]}"
    lines = "".join(f"{digest}  {name}\n" for name, digest in told)
    return f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
