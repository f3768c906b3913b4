"""The checkpoints of a run as folders: `step-100`, whole or not there at all.

A checkpoint is written to `.step-100.<random>.part`, which its writer holds a lock on, and renamed
when every byte of it is durable. Saving a step again writes `step-100.1` and then removes
`step-100`: at every instant one of them is whole. What a killed writer left behind, its lock is
free, and the next save removes it.
"""

import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cairn.errors import EntryNotFoundError, RequestError, UnavailableError
from cairn.formats.training_record import RECORD, step_of

_LEFTOVER = re.compile(r"\.step-[\d.]+\.[0-9a-f]{8}\.(?:part|gone)\Z")


@dataclass(frozen=True, slots=True, order=True)
class StepFolder:
    """A checkpoint's step, how often that step was saved before, and its folder."""

    step: int
    take: int
    path: Path


def step_folders(folder: Path) -> list[StepFolder]:
    """The newest take of every step, in order of steps; empty where there is no folder."""
    newest: dict[int, StepFolder] = {}
    for found in sorted(_takes(folder)):
        newest[found.step] = found
    return list(newest.values())


def step_folder(folder: Path, step: int | None) -> StepFolder:
    """The folder of a step, or of the newest one; `folder` may be that of a step itself.

    Raises:
        EntryNotFoundError: there is none.
    """
    own = step_of(folder.name)
    if own is not None and step is None and (folder / RECORD).is_file():
        return StepFolder(*own, folder)
    there = step_folders(folder)
    for found in reversed(there):
        if step is None or found.step == step:
            return found
    if step is None:
        raise EntryNotFoundError(f"no checkpoint is in {folder}: begin without resuming")
    steps = ", ".join(str(found.step) for found in there[-8:]) or "none"
    raise EntryNotFoundError(f"step {step} is not in {folder}; the newest there: {steps}")


def _takes(folder: Path) -> Iterator[StepFolder]:
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        named = step_of(path.name)
        if named is not None and path.is_dir():
            yield StepFolder(*named, path)


@contextmanager
def new_step(
    folder: Path, step: int, size_bytes: int, instead_of: Sequence[StepFolder] = ()
) -> Iterator[Path]:
    """A folder to write a step into, which becomes the step at the end, all at once and durably.

    The writer has made its files durable by then. After an error nothing of it is left.
    `instead_of` are checkpoints of a way that the run has left: they go, the newest first, when
    all is durable and before the step appears, so that no kill leaves one of them newer than it.

    Raises:
        RequestError: the step is none, or `folder` cannot be one.
        UnavailableError: there is no room for `size_bytes`, or writing failed.
    """
    if step < 0:
        raise RequestError(f"{step} cannot be a step")
    make_folder(folder)
    draft = folder / f".step-{step}.{secrets.token_hex(4)}.part"
    try:
        with told_as_not_written(folder, step):
            _sweep(folder)
            _check_room(folder, step, size_bytes)
            with _held(draft):
                yield draft
                _sync(draft)
                for left in sorted(instead_of, reverse=True):
                    if left.step != step:  # else it goes when the new take is there
                        remove_step(left)
                _publish(folder, step, draft)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def told_as_not_written(folder: Path, step: int) -> Iterator[None]:
    """Have what the disk refuses be an UnavailableError that says what became of the step."""
    try:
        yield
    except OSError as error:
        raise UnavailableError(
            f"step {step} could not be written to {folder}: {error}; what was saved before is"
            " unharmed: save again when the disk takes it"
        ) from error


def remove_step(found: StepFolder) -> None:
    """Take a checkpoint away, all at once."""
    gone = found.path.with_name(f".{found.path.name}.{secrets.token_hex(4)}.gone")
    with suppress(FileNotFoundError):  # somebody else removed it
        found.path.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def make_folder(folder: Path) -> None:
    """Make the folder of a run; RequestError if it cannot be one."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(f"{folder} cannot be a folder of checkpoints: {error}") from None


def _check_room(folder: Path, step: int, size_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size_bytes:
        raise UnavailableError(
            f"{folder} has room for {free:,} bytes, step {step} needs {size_bytes:,}: free some,"
            " then save again; what was saved before is unharmed"
        )


@contextmanager
def _held(draft: Path) -> Iterator[None]:
    draft.mkdir()
    descriptor = os.open(draft, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _publish(folder: Path, step: int, draft: Path) -> None:
    before = sorted(found for found in _takes(folder) if found.step == step)
    take = before[-1].take + 1 if before else 0
    draft.rename(folder / (f"step-{step}.{take}" if take else f"step-{step}"))
    _sync(folder)
    for found in before:
        remove_step(found)


def _sweep(folder: Path) -> None:
    """Remove what killed writers left."""
    for path in folder.iterdir():
        if not _LEFTOVER.match(path.name):
            continue
        with suppress(OSError):  # being written, or swept by somebody else
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(descriptor)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
