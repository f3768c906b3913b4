"""Brings a run from a place into a folder, to go on with it there."""

import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from cairn.errors import CairnError, ConflictError, EntryNotFoundError, IntegrityError
from cairn.formats import File
from cairn.formats.training_metrics import METRICS
from cairn.formats.training_record import RECORD
from cairn.formats.training_run import RUN
from cairn.workflows.folder_store import open_folder
from cairn.workflows.kept_runs import KeptRun, KeptStep, read_kept_run
from cairn.workflows.local_runs import is_live, local_run
from cairn.workflows.run_places import RunPlace, StorePlace

_BLOCK_BYTES = 1 << 20
Progress = Callable[[int], None]


def placed_run(place: RunPlace) -> tuple[KeptRun, dict[str, File]]:
    """The run at a place, and its files.

    Raises:
        EntryNotFoundError: there is none. UnavailableError: the place cannot be reached.
    """
    files = {path: placed.file for path, placed in place.files().items()}
    return read_kept_run(place.name, files, is_live=None), files


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
    """The checkpoints to fetch: all that are whole, that of a step, the newest to go on from.

    Raises:
        EntryNotFoundError: there is no such step. IntegrityError: it is not whole.
    """
    if every:
        return [one for one in run.steps if not one.trouble]
    if step is None:
        return [run.resume_point] if run.resume_point else []
    found = [one for one in run.steps if one.step == step]
    if not found:
        raise EntryNotFoundError(f"step {step} is not in {run.name}")
    if found[0].trouble:
        raise IntegrityError(f"step {step} in {run.name} is not whole: {found[0].trouble}")
    return found


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
        ConflictError: the folder has another run, or a process writes it.
        UnavailableError: the place cannot be reached, or the disk is full; again goes on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _check_folder(folder, run)
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
            draft.rename(target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    for name in (METRICS, RUN):
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


def _write(file: File, target: Path, progress: Progress) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with file.open() as source, target.open("wb") as written:
        for at in range(0, source.size_bytes, _BLOCK_BYTES):
            block = source.read_at(at, min(_BLOCK_BYTES, source.size_bytes - at))
            written.write(block)
            progress(len(block))
        written.flush()
        os.fsync(written.fileno())
