"""How commands print: results on standard output, everything else on standard error."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_UNWRAPPED_COLUMNS = 100_000


def out() -> "Console":
    """The console for results."""
    from rich.console import Console

    if sys.stdout.isatty():
        return Console(highlight=False)
    # Into a pipe or a file nothing is wrapped: `grep` must find a tensor's whole name.
    return Console(highlight=False, soft_wrap=True, width=_UNWRAPPED_COLUMNS)


def err() -> "Console":
    """The console for progress, hints and errors."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def print_json(value: object) -> None:
    """Print one JSON document."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def print_ascii_json(value: object) -> None:
    """Print one JSON document that may quote hostile bytes: nothing in it acts on a terminal."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def human_bytes(count: float) -> str:
    """`90900000` as `90.9 MB`: powers of 1000, as disks and the Hugging Face hub count."""
    for unit in UNITS:
        if abs(count) < 1000 or unit == UNITS[-1]:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError("the loop returns at the last unit")


def visible(text: str) -> str:
    """Text from a stranger made safe for a terminal: controls escaped, markup taken literally."""
    from rich.markup import escape

    from cairn.formats.naming import visible as spelled_out

    return escape(spelled_out(text))


@contextmanager
def count_progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error; yields a function that takes how many were newly done."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    console = err()
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(label, total=total)
        yield lambda done: progress.advance(task, done)


@contextmanager
def byte_progress(label: str, total_bytes: int | None) -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error; yields a function that takes newly done bytes."""
    if not sys.stderr.isatty():  # before the import, which takes as long as a small command
        yield lambda _: None
        return
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err()) as progress:
        task = progress.add_task(label, total=total_bytes)
        yield lambda done: progress.advance(task, done)
