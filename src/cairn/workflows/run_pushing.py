"""Brings a place up to what a run's folder has: whole checkpoints, the record, the curves."""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cairn.domain import RunRecord
from cairn.errors import ConflictError, EntryNotFoundError, MalformedError
from cairn.formats.strict_json import parse_json
from cairn.formats.training_metrics import METRICS
from cairn.formats.training_record import RECORD, step_of
from cairn.formats.training_run import PUSHED, RUN, read_run
from cairn.workflows.local_runs import run_files
from cairn.workflows.run_places import Content, PlacedFile, RunPlace

_LOCK = ".run.push.lock"
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Pushed:
    """The steps that were sent and removed, and the bytes of the files that were handed over."""

    sent: tuple[str, ...]
    removed: tuple[str, ...]
    size_bytes: int


def push_run(
    folder: Path, place: RunPlace, told: Callable[[str, int], None] = lambda *_: None
) -> Pushed:
    """Send what a place lacks, one checkpoint at a time and the newest first.

    A training process may write and prune meanwhile. What was sent before a connection broke
    stays, and the next push goes on after it. `told` gets the name of a checkpoint and its bytes
    before it is sent.

    Raises:
        EntryNotFoundError: the folder holds no run.
        UnavailableError: the place cannot be reached; the folder is as it was.
        ConflictError: it has another run, or the run went on elsewhere.
    """
    if not (folder / RUN).is_file():
        raise EntryNotFoundError(f"{folder} has no {RUN}: what is pushed is what a Run wrote")
    with _one_at_a_time(folder):
        return _push(folder, place, told)


def _push(folder: Path, place: RunPlace, told: Callable[[str, int], None]) -> Pushed:
    sent: list[str] = []
    removed: list[str] = []
    size = 0
    for _ in range(_ATTEMPTS):
        there = place.files()
        _check_same_run(folder, there, place.name)
        here = _whole_steps(folder)
        before = _pushed_before(folder, place.name)
        gone = sorted(before - set(here))
        try:
            missing = [name for name in here if not _is_there(folder, name, there)]
            for name in missing or [""]:
                files = _step_content(folder, name) if name else {}
                bytes_now = sum(path.stat().st_size for path in files.values())
                told(name, bytes_now)
                old = [path for path in there if name and path.startswith(f"{name}/")]
                lost = [path for path in there if path.partition("/")[0] in gone]
                stale = [path for path in old if path not in files]
                before |= {name} if name else set()
                _note(folder, place.name, before)  # now: what is pruned while it is sent goes too
                place.put({**files, **_living(folder)}, [*_records_first(lost), *stale], name)
                before -= set(gone)
                _note(folder, place.name, before)
                sent += [name] if name else []
                removed += gone
                size += bytes_now
                gone = []
        except FileNotFoundError:
            continue  # pruned by its run meanwhile: look again
        return Pushed(tuple(sent), tuple(removed), size)
    raise ConflictError(f"{folder} changes faster than it can be pushed")


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Wait for another push of the folder."""
    with (folder / _LOCK).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _whole_steps(folder: Path) -> list[str]:
    """Folders of checkpoints, the newest first; of a step that was saved again the last take."""
    newest: dict[int, tuple[int, str]] = {}
    for entry in os.scandir(folder):
        named = step_of(entry.name)
        if named is not None and (Path(entry.path) / RECORD).is_file():
            step, take = named
            newest[step] = max(newest.get(step, (0, "")), (take, entry.name))
    return [newest[step][1] for step in sorted(newest, reverse=True)]


def _is_there(folder: Path, step: str, there: Mapping[str, PlacedFile]) -> bool:
    """Whether a place has this very checkpoint: its record names the digests of all its files."""
    path = f"{step}/{RECORD}"
    if path not in there:
        return False
    data = (folder / path).read_bytes()
    git = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    known = {f"sha256:{hashlib.sha256(data).hexdigest()}", f"git:{git}"}
    return there[path].digest in known


def _step_content(folder: Path, step: str) -> dict[str, Path]:
    """The files of a checkpoint by path, its record last."""
    paths = sorted((folder / step).iterdir(), key=lambda path: (path.name == RECORD, path.name))
    return {f"{step}/{path.name}": path for path in paths}


def _living(folder: Path) -> dict[str, Content]:
    """Curves and record as they are at this instant; a line that is being written is left out."""
    found: dict[str, Content] = {}
    for name in (METRICS, RUN):
        path = folder / name
        if path.is_file():
            data = path.read_bytes()
            found[name] = data[: data.rfind(b"\n") + 1] if name == METRICS else data
    return found


def _records_first(paths: Iterable[str]) -> list[str]:
    """So that no instant has a checkpoint that looks whole and is not."""
    return sorted(paths, key=lambda path: (not path.endswith(f"/{RECORD}"), path))


def _check_same_run(folder: Path, there: Mapping[str, PlacedFile], place: str) -> None:
    if RUN not in there:
        # Beside checkpoints a card and attributes of git may be there.
        begun = {path.partition("/")[0] for path in there if step_of(path.partition("/")[0])}
        if not begun <= _pushed_before(folder, place):  # else a first push was broken off
            raise ConflictError(f"{place} has checkpoints of no known run: name another place")
        return
    with there[RUN].file.open() as source:
        theirs = read_run(source)
    with run_files(folder)[RUN].open() as source:
        ours = read_run(source)
    if theirs.id != ours.id:
        raise ConflictError(f"{place} has another run, {theirs.name!r}: name another place")
    if _sessions(theirs) != _sessions(ours)[: len(theirs.sessions)]:
        raise ConflictError(
            f"the run went on elsewhere and {place} has that: fetch it into another folder with"
            " `cairn run fetch`, and go on from there"
        )


def _sessions(run: RunRecord) -> list[str]:
    return [session.started for session in run.sessions]


def _notes(folder: Path) -> dict[str, Any]:
    try:
        said = parse_json((folder / PUSHED).read_bytes(), PUSHED, what=PUSHED)
    except (FileNotFoundError, MalformedError):
        return {}  # then nothing is removed there, and what is there is found out
    return said if isinstance(said, dict) else {}


def _pushed_before(folder: Path, place: str) -> set[str]:
    steps = _notes(folder).get(place)
    return {step for step in steps if isinstance(step, str)} if isinstance(steps, list) else set()


def _note(folder: Path, place: str, steps: Iterable[str]) -> None:
    draft = folder / f"{PUSHED}.part"
    draft.write_text(json.dumps({**_notes(folder), place: sorted(steps)}))
    draft.replace(folder / PUSHED)
