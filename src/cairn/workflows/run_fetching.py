"""Brings a run from a place into a folder, to go on with it there."""

import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from cairn.errors import (
    CairnError,
    ConflictError,
    EntryNotFoundError,
    IntegrityError,
    UntrustedDataError,
)
from cairn.formats import File
from cairn.formats.training_metrics import METRICS
from cairn.formats.training_record import RECORD, step_of
from cairn.formats.training_run import RUN
from cairn.workflows.folder_store import open_folder
from cairn.workflows.kept_runs import KeptRun, KeptStep, read_kept_run
from cairn.workflows.local_runs import is_live, local_run
from cairn.workflows.run_places import RunPlace, StorePlace
from cairn.workflows.written import sync_folder

_BLOCK_BYTES = 1 << 20
MOST_CURVES = (1_000, 5_000_000)
"""Names and values of curves that are read from elsewhere: 100,000 steps of 50 metrics, 0.5 GB."""
Progress = Callable[[int], None]


def placed_run(place: RunPlace) -> tuple[KeptRun, dict[str, File]]:
    """The run at a place, and its files.

    Raises:
        EntryNotFoundError: there is none. UnavailableError: the place cannot be reached.
        UntrustedDataError: a file of a checkpoint has a path that could lead out of its folder.
        LimitError: the curves are longer than `MOST_CURVES`.
    """
    files = {path: placed.file for path, placed in place.files().items()}
    for path in files:
        _check_path(path, place.name)
    return read_kept_run(place.name, files, is_live=None, most=MOST_CURVES), files


def _check_path(path: str, place: str) -> None:
    """Refuse what no save makes: a checkpoint's files, also those of ranks, lie flat in it."""
    folder, slash, name = path.partition("/")
    is_odd = name in ("", ".", "..") or "/" in name or "\0" in name
    if slash and is_odd and step_of(folder) is not None:
        raise UntrustedDataError(
            f"{place} has the file {path[:200]!r}, which cannot be one of a checkpoint: nothing"
            " is fetched; ask whoever put it there"
        )


def store_runs(folder: Path) -> Iterator[tuple[str, KeptRun | CairnError]]:
    """Every run in the store in a folder, and of those that cannot be read the reason.

    Raises:
        NotFoundError: no store is there.
    """
    ends = (f"/{RUN}", f"/{RECORD}")
    names = (one.name for one in open_folder(folder).store.names.list())
    for run in dict.fromkeys(name.partition("/")[0] for name in names if name.endswith(ends)):
        try:
            yield run, placed_run(StorePlace(folder, run))[0]
        except CairnError as error:
            yield run, error


def chosen_steps(run: KeptRun, step: int | None, *, every: bool) -> list[KeptStep]:
    """The checkpoints to fetch: all that are whole, that of a step, or what going on needs.

    Raises:
        EntryNotFoundError: there is no such step. IntegrityError: it is not whole.
    """
    if every:
        return [one for one in run.steps if not one.trouble]
    if step is None:
        return _to_go_on_from(run)
    found = [one for one in run.steps if one.step == step]
    if not found:
        raise EntryNotFoundError(f"step {step} is not in {run.name}")
    if found[0].trouble:
        raise IntegrityError(f"step {step} in {run.name} is not whole: {found[0].trouble}")
    return found


def _to_go_on_from(run: KeptRun) -> list[KeptStep]:
    """The newest whole checkpoint, and those until then that the run keeps as its best."""
    point = run.resume_point
    if point is None:
        return []
    keep = run.record.keep if run.record else None
    if keep is None or not keep.best:
        return [point]
    whole = {one.step: one for one in run.steps if not one.trouble and one.step <= point.step}
    metrics = {step: one.metrics or {} for step, one in whole.items()}
    return [whole[step] for step in sorted(replace(keep, last=1, every=0).kept(metrics))]


def fetch_run(
    run: KeptRun,
    files: Mapping[str, File],
    steps: Iterable[KeptStep],
    folder: Path,
    progress: Progress,
) -> None:
    """Write record, curves and checkpoints; each checkpoint appears when it is whole.

    What is there already is not fetched again. Digests are compared when the run is resumed.

    Raises:
        ConflictError: the folder has another run or is ahead of the place, or a process writes it.
        UnavailableError: the place cannot be reached, or the disk is full; again goes on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _check_folder(folder, run)
    # The record first: it says whose the checkpoints are, should this be killed between them.
    _write_beside(files, RUN, folder)
    for step in steps:
        target = folder / step.folder
        if target.exists():
            progress(step.size_bytes)
            continue
        # Named as drafts of training are: what a kill leaves goes with the next save.
        draft = folder / f".{step.folder}.{secrets.token_hex(4)}.part"
        try:
            for path, file in files.items():
                if path.startswith(f"{step.folder}/"):
                    _write(file, draft / path.partition("/")[2], progress)
            sync_folder(draft)
            draft.rename(target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    _write_beside(files, METRICS, folder)
    sync_folder(folder)


def _write_beside(files: Mapping[str, File], name: str, folder: Path) -> None:
    """A file of the run itself, whole or not at all."""
    if name in files:
        draft = folder / f".{name}.part"
        _write(files[name], draft, lambda _: None)
        draft.replace(folder / name)


def _check_folder(folder: Path, run: KeptRun) -> None:
    if is_live(folder):
        raise ConflictError(f"a process is writing {folder}: wait for its end, or stop it")
    try:
        here = local_run(folder)
    except EntryNotFoundError:
        return
    same = here.record is not None and run.record is not None and here.record.id == run.record.id
    if not same:
        raise ConflictError(f"{folder} has another run: name another folder")
    if _is_ahead(here, run):
        raise ConflictError(
            f"{folder} went on after what {run.name} has, and would lose its record and curves:"
            f" go on with `cairn run resume {folder}`, send it with `cairn run push`, or fetch"
            " into another folder"
        )


def _is_ahead(here: KeptRun, there: KeptRun) -> bool:
    """Whether a run was trained here where the same run elsewhere does not know of it."""
    ours, theirs = _sessions(here), _sessions(there)
    return ours != theirs[: len(ours)] or (here.last_step or 0) > (there.last_step or 0)


def _sessions(run: KeptRun) -> list[str]:
    return [one.started for one in run.record.sessions] if run.record else []


def _write(file: File, target: Path, progress: Progress) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with file.open() as source, target.open("wb") as written:
        for at in range(0, source.size_bytes, _BLOCK_BYTES):
            block = source.read_at(at, min(_BLOCK_BYTES, source.size_bytes - at))
            written.write(block)
            progress(len(block))
        written.flush()
        os.fsync(written.fileno())
