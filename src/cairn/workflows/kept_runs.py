"""Training runs as they are kept: record, curves, checkpoints, and where one would go on.

Read from files alone, wherever they are: a folder, a repo, a store. No framework is imported.
"""

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cairn.domain import MetricPoint, RunRecord, RunStatus
from cairn.errors import EntryNotFoundError, MalformedError, UntrustedDataError
from cairn.formats import Files
from cairn.formats.limits import MAX_TRAINING_RECORD_BYTES
from cairn.formats.strict_json import MisstatedError, read_json, value_of
from cairn.formats.training_metrics import METRICS, curves, read_points, up_to
from cairn.formats.training_record import FORMAT, RECORD, VERSION, step_of
from cairn.formats.training_run import RUN, read_run

GONE = "its process is gone: it was killed, or the machine stopped"


@dataclass(frozen=True, slots=True)
class KeptStep:
    """A checkpoint of a run: its folder, bytes, metrics; `trouble`: why it cannot be resumed."""

    step: int
    folder: str
    size_bytes: int
    saved_at: str = ""
    metrics: Mapping[str, float] | None = None
    digests: Mapping[str, str] | None = None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class KeptRun:
    """A run under the name it was asked for by; `record` is None where only checkpoints are.

    `is_live`: whether a process writes it; None where nobody can know, as in a repo.
    """

    name: str
    record: RunRecord | None
    points: Sequence[MetricPoint]
    steps: Sequence[KeptStep]
    is_live: bool | None

    @property
    def status(self) -> RunStatus | None:
        """How it stands; a run whose process was killed is interrupted."""
        if self.record is None:
            return None
        if self.record.status is RunStatus.RUNNING and self.is_live is False:
            return RunStatus.INTERRUPTED
        return self.record.status

    @property
    def error(self) -> str | None:
        """What ended it, in words, if anything did."""
        if self.record is None:
            return None
        was_killed = self.record.status is RunStatus.RUNNING and self.is_live is False
        return GONE if was_killed else self.record.error

    @property
    def last_step(self) -> int | None:
        """The last step known of."""
        known = [point.step for point in self.points[-1:]] + [one.step for one in self.steps]
        return max(known, default=None)

    @property
    def resume_point(self) -> KeptStep | None:
        """The newest checkpoint that is whole and has numbers for metrics."""
        for one in reversed(self.steps):
            if not one.trouble and all(map(math.isfinite, (one.metrics or {}).values())):
                return one
        return None

    @property
    def curves(self) -> dict[str, list[tuple[int, float]]]:
        """Step and value of every metric; those of checkpoints where nothing was logged."""
        if self.points:
            return curves(self.points)
        return curves(MetricPoint(one.step, 0, one.metrics or {}) for one in self.steps)


def read_kept_run(
    name: str, files: Files, *, is_live: bool | None, most: tuple[int, int] | None = None
) -> KeptRun:
    """The run that files make up; `most` names and values its curves may have, if that is bounded.

    Raises:
        EntryNotFoundError: there is no run.
        UntrustedDataError: its record or its curves are none; LimitError: these are too long.
        UnavailableError: a newer Cairn wrote it.
    """
    steps = tuple(_steps(files))
    if RUN not in files and not steps:
        raise EntryNotFoundError(f"{name} holds no training run: no {RUN}, no checkpoints")
    record = None
    points: tuple[MetricPoint, ...] = ()
    if RUN in files:
        with files[RUN].open() as source:
            record = read_run(source)
    if METRICS in files:
        with files[METRICS].open() as source:
            found = read_points(source)
            points = tuple(found if most is None else up_to(found, *most))
    return KeptRun(name, record, points, steps, is_live)


def _steps(files: Files) -> Iterator[KeptStep]:
    """The newest take of every step, in order."""
    folders: dict[tuple[int, int], dict[str, int]] = {}
    for path, file in files.items():
        folder, slash, inside = path.partition("/")
        named = step_of(folder)
        if slash and named is not None:
            folders.setdefault(named, {})[inside] = file.size_bytes
    newest = {step: (step, take) for step, take in sorted(folders)}
    for step, take in newest.values():
        sizes = folders[step, take]
        folder = f"step-{step}.{take}" if take else f"step-{step}"
        found = KeptStep(step, folder, sum(sizes.values()))
        try:
            yield _described(found, sizes, files)
        except UntrustedDataError as error:
            yield replace(found, trouble=str(error))
        except (FileNotFoundError, EntryNotFoundError):
            continue  # pruned by its run meanwhile


def _described(found: KeptStep, sizes: Mapping[str, int], files: Files) -> KeptStep:
    path = f"{found.folder}/{RECORD}"
    if RECORD not in sizes:
        return replace(found, trouble=f"{RECORD} is missing")
    with files[path].open() as source:
        said = read_json(source, MAX_TRAINING_RECORD_BYTES, what=RECORD)
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        return replace(found, trouble=f"{RECORD} is not that of a training checkpoint")
    version = said.get("version")
    if type(version) is not int or not 1 <= version <= VERSION:
        said_version = version if type(version) is int else "that is no number"
        return replace(found, trouble=f"version {said_version} of the format is not read")
    try:
        metrics = value_of(said, "metrics", dict)
        listed = value_of(said, "files", dict)
        return replace(
            found,
            saved_at=value_of(said, "saved_at", str),
            metrics={name: _number(value) for name, value in metrics.items()},
            digests={
                name: value_of(value_of(listed, name, dict), "digest", str) for name in listed
            },
            trouble=_missing(listed, sizes),
        )
    except (
        KeyError,
        MisstatedError,
        ArithmeticError,
        ValueError,
        TypeError,
        struct.error,
    ) as error:
        raise MalformedError(f"{RECORD} lacks or misstates {error}", source=path) from None


def _missing(listed: Mapping[str, Any], sizes: Mapping[str, int]) -> str:
    """Which file is not as large as it was written; empty where all are."""
    for name, said in listed.items():
        if name not in sizes:
            return f"{name} is missing"
        written = value_of(said, "bytes", int)
        if sizes[name] != written:
            return f"{name} has {sizes[name]:,} bytes, {written} were written"
    return ""


def _number(said: Any) -> float:
    """A metric: a number, or its bits or digits under a mark (docs/formats/cairn-training.md)."""
    if isinstance(said, dict) and "$float" in said:
        found: float = struct.unpack(">d", bytes.fromhex(said["$float"]))[0]
        return found
    if isinstance(said, dict) and "$int" in said:
        return float(int(said["$int"], 16))
    if type(said) not in (int, float):
        raise MisstatedError("'metrics'")
    return float(said)
