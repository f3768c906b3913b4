"""Training runs of strangers, read as far as a page or an answer has time and memory for."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from math import isfinite

from cairn.errors import LimitError
from cairn.formats import File
from cairn.formats.training_metrics import METRICS
from cairn.formats.training_record import RECORD, step_of
from cairn.workflows.kept_runs import KeptRun, KeptStep, read_kept_run

MAX_CURVE_BYTES = 8 << 20
"""Of metrics.jsonl: a second of reading, some 100,000 lines."""

MAX_CURVE_NAMES, MAX_CURVE_VALUES = 1_000, 500_000
"""In metrics.jsonl: some 80 MB of memory."""

MAX_RECORD_BYTES = 16 << 20
"""Of all records of checkpoints, from the newest on: another second."""

MAX_STEPS = 200
MAX_STEP_METRICS = 24
"""Of one checkpoint: real ones have ten."""

_TOO_LONG = "The curves are too long to be drawn here."


@dataclass(frozen=True, slots=True)
class BoundedRun:
    """A run, and sentences about what of it is left out."""

    run: KeptRun
    left_out: tuple[str, ...]


def bounded_run(name: str, files: Mapping[str, File]) -> BoundedRun:
    """The run that files of a repo make up.

    Raises:
        EntryNotFoundError: there is none. UntrustedDataError: its record is none.
        UnavailableError: a newer Cairn wrote it.
    """
    kept, left_out = _affordable(files)
    most = (MAX_CURVE_NAMES, MAX_CURVE_VALUES)
    try:
        run = read_kept_run(name, kept, is_live=None, most=most)
    except LimitError:
        if kept.pop(METRICS, None) is None:
            raise
        left_out.append(_TOO_LONG)
        run = read_kept_run(name, kept, is_live=None)
    if any(len(one.metrics or {}) > MAX_STEP_METRICS for one in run.steps):
        left_out.append(f"Of a checkpoint's metrics {MAX_STEP_METRICS} are listed.")
        run = replace(run, steps=tuple(map(_shortened, run.steps)))
    return BoundedRun(run, tuple(left_out))


def _shortened(one: KeptStep) -> KeptStep:
    """With what is no number first: it says whether a run goes on from there."""
    metrics = sorted((one.metrics or {}).items(), key=lambda pair: isfinite(pair[1]))
    return replace(one, metrics=dict(islice(metrics, MAX_STEP_METRICS)))


def _affordable(files: Mapping[str, File]) -> tuple[dict[str, File], list[str]]:
    """The files that there is time to read, and words for the others."""
    kept, told = dict(files), []
    curves = kept.get(METRICS)
    if curves is not None and curves.size_bytes > MAX_CURVE_BYTES:
        del kept[METRICS]
        told.append(_TOO_LONG)
    folders = {path.partition("/")[0] for path in kept}
    named = {folder: step for folder in folders if (step := step_of(folder)) is not None}
    room, listed = MAX_RECORD_BYTES, set()
    for folder in sorted(named, key=lambda name: named[name], reverse=True)[:MAX_STEPS]:
        record = kept.get(f"{folder}/{RECORD}")
        room -= record.size_bytes if record else 0
        if room < 0:
            break
        listed.add(folder)
    older = set(named) - listed
    if older:
        told.append(f"The newest {len(listed)} of {len(named)} checkpoints are listed.")
    return {p: f for p, f in kept.items() if p.partition("/")[0] not in older}, told
