"""Runs in folders of this machine, also while a process writes them."""

import fcntl
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from cairn.errors import CairnError, EntryNotFoundError, RequestError
from cairn.formats import File
from cairn.formats.training_metrics import METRICS
from cairn.formats.training_record import RECORD, step_of
from cairn.formats.training_run import LOCK, RUN
from cairn.workflows.kept_runs import KeptRun, read_kept_run
from cairn.workflows.local_files import folder_files, local_file

_MAX_DEPTH = 6
_MAX_FOLDERS = 20_000


def local_run(folder: Path) -> KeptRun:
    """The run in a folder.

    Raises:
        EntryNotFoundError: there is none; one that lies right below is named. Else as
            `read_kept_run`.
    """
    files = run_files(folder)
    if not files and (below := list(islice(_run_folders(folder), 2))):
        named = f"{below[0]} does" if len(below) == 1 else "several folders in it do: name one"
        raise EntryNotFoundError(f"{folder} holds no training run; {named}")
    return read_kept_run(str(folder), files, is_live=is_live(folder))


def local_runs(root: Path) -> Iterator[tuple[Path, KeptRun | CairnError]]:
    """Every run at or below a folder, and of those that cannot be read the reason.

    Raises:
        EntryNotFoundError: there is no folder. RequestError: it holds too many folders.
    """
    if not root.is_dir():
        raise EntryNotFoundError(f"{root} is no folder")
    for folder in _run_folders(root):
        try:
            yield folder, local_run(folder)
        except CairnError as error:
            yield folder, error


def _run_folders(root: Path) -> Iterator[Path]:
    for seen, (path, below, names) in enumerate(os.walk(root), 1):
        if seen > _MAX_FOLDERS:
            raise RequestError(f"{root} holds more than {_MAX_FOLDERS:,} folders: name one of them")
        is_run = RUN in names or any(
            step_of(name) is not None and Path(path, name, RECORD).is_file() for name in below
        )
        if is_run:
            yield Path(path)
        deep = len(Path(path).relative_to(root).parts) >= _MAX_DEPTH
        below[:] = [] if is_run or deep else sorted(n for n in below if not n.startswith("."))


def run_files(folder: Path) -> dict[str, File]:
    """The files that make up the run in a folder, without those that are being written.

    Raises:
        EntryNotFoundError: there is no folder. RequestError: it cannot be listed.
    """
    if not folder.is_dir():
        raise EntryNotFoundError(f"{folder} is no folder")
    found: dict[str, File] = {}
    for name in sorted(os.listdir(folder)):  # noqa: PTH208 - names are what is wanted
        path = folder / name
        if name in (RUN, METRICS) and path.is_file():
            found[name] = local_file(path, name, folder)
        elif step_of(name) is not None and path.is_dir():
            found |= {f"{name}/{inside}": file for inside, file in _step_files(path)}
    return found


def _step_files(path: Path) -> Iterator[tuple[str, File]]:
    try:
        yield from folder_files(path).items()
    except (RequestError, EntryNotFoundError):
        return  # pruned by its run meanwhile


def is_live(folder: Path) -> bool:
    """Whether a process holds the run in a folder at this moment."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)
