"""What a run says of itself while it trains: `run.json` and the lines of `metrics.jsonl`."""

import os
import secrets
import shutil
import threading
import time
import warnings
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any

from cairn.domain import MetricPoint, RunRecord, RunStatus, TrainingSession
from cairn.errors import CairnError, RequestError, UnavailableError, UntrustedDataError
from cairn.formats import FileSource
from cairn.formats.training_metrics import METRICS, point_line, read_placed_points
from cairn.formats.training_run import RUN, read_run, run_bytes
from cairn.provenance.run_seal import is_own, write_seal
from cairn.training.run_lock import RunLock

_MAX_SESSIONS = 1000  # of the file; the first stays
_MAX_ERROR_CHARS = 2000


class Logbook:
    """The record of a run, which this process holds until `close`."""

    def __init__(self, folder: Path, session: TrainingSession, about: Mapping[str, Any]) -> None:
        """Begin the record, or go on with the one that is there.

        `about` has fields of `RunRecord`; what of it is None stays as it was.

        Raises:
            ConflictError: another process writes the run.
            UnavailableError: it was written by a newer Cairn, or the disk is full.
            UntrustedDataError: what is there is no record of a run.
        """
        self._folder = folder
        self._lock = RunLock(folder)
        try:
            self.record = self._opened(session, about)
            self._write()
            if self._is_own:
                write_seal(folder, self.record)
            self._curves = _Curves(folder / METRICS)
        except BaseException:
            self._lock.release()
            raise
        self._not_finite: set[str] = set()

    def _opened(self, session: TrainingSession, about: Mapping[str, Any]) -> RunRecord:
        said = {name: value for name, value in about.items() if value is not None}
        self._is_own = True
        if not (self._folder / RUN).exists():
            said.setdefault("name", self._folder.resolve().name)
            identity = secrets.token_hex(8)
            return RunRecord(
                id=identity, status=RunStatus.RUNNING, changed=now(), sessions=(session,), **said
            )
        try:
            with FileSource(self._folder / RUN) as source:
                before = read_run(source)
        except UntrustedDataError as error:
            hint = f"move {RUN} away to begin another record: the checkpoints do not need it"
            raise type(error)(
                error.what, source=error.source, offset=error.offset, hint=hint
            ) from None
        self._is_own = is_own(self._folder, before)
        sessions = (*before.sessions[:1], *before.sessions[1:][2 - _MAX_SESSIONS :], session)
        return replace(
            before, status=RunStatus.RUNNING, error=None, changed=now(), sessions=sessions, **said
        )

    def resumed(self, step: int) -> None:
        """The run goes on after this step: the curves of later ones go when the next is known."""
        *before, session = self.record.sessions
        sessions = (*before, replace(session, from_step=step))
        self.record = replace(self.record, sessions=sessions, changed=now())
        self._write()
        self._curves.rewind(step)

    def log(self, step: int, epoch: float | None, values: Mapping[str, float]) -> None:
        """Add a point; what a full disk does not take is written with a later one.

        Raises:
            RequestError: a later step was logged already.
        """
        self._curves.add(step, epoch, values)
        for name, value in values.items():
            if isfinite(value):
                self._not_finite.discard(name)
            elif name not in self._not_finite:
                self._not_finite.add(name)
                warnings.warn(
                    f"{name} is {value} at step {step}: the run goes on, but what it learns now is"
                    " worth nothing; resume from a checkpoint before that",
                    stacklevel=3,
                )

    def sync(self) -> None:
        """Make what was logged durable.

        Raises:
            OSError: the disk does not take it.
        """
        self._curves.sync()

    def close(self, status: RunStatus, error: BaseException | None) -> None:
        """Say what became of the run, and let other processes write it; may be called twice."""
        if self._curves.is_closed:
            return
        words = None
        if error is not None:
            words = f"{type(error).__name__}: {error}".rstrip(": ")[:_MAX_ERROR_CHARS]
        self.record = replace(self.record, status=status, error=words, changed=now())
        try:
            self._curves.close()
            self._write()
        except (OSError, CairnError) as failure:  # the checkpoints are there all the same
            warnings.warn(f"the record of the run could not be finished: {failure}", stacklevel=3)
        finally:
            self._lock.release()

    def _write(self) -> None:
        draft = self._folder / f".{RUN}.part"
        try:
            with draft.open("wb") as file:
                file.write(run_bytes(self.record))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._folder / RUN)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise UnavailableError(
                f"{self._folder / RUN} could not be written: {error}; what was saved before is"
                " unharmed"
            ) from error


class _Curves:
    """`metrics.jsonl`, to which lines are added; a line is whole or not there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        self._pending = b""
        self._writing = threading.Lock()
        self._is_first = True
        self._step = -1
        self._from: int | None = None
        self._seconds = 0.0
        self._clock = time.monotonic()
        self.is_closed = False

    def rewind(self, step: int) -> None:
        """Drop later points, once a new one comes."""
        self._is_first, self._from, self._clock = True, step, time.monotonic()
        self._pending = b""  # of the way that is left, as far as the disk did not take it

    def add(self, step: int, epoch: float | None, values: Mapping[str, float]) -> None:
        if self._is_first:
            self._cut(step - 1 if self._from is None else self._from)
        if step < self._step:
            raise RequestError(f"step {self._step} was logged already, {step} comes before it")
        seconds = self._seconds + time.monotonic() - self._clock
        line = point_line(MetricPoint(step, seconds, values, epoch))
        self._is_first, self._step = False, step
        was_told = bool(self._pending)
        self._pending += line
        try:
            self._write()
        except OSError as error:
            if not was_told:
                warnings.warn(
                    f"{self._path} takes no more lines: {error}; they are kept in memory and"
                    " written when it does",
                    stacklevel=4,
                )

    def _cut(self, last: int) -> None:
        """Drop the points of later steps, and a line that a killed process left unfinished."""
        end, self._step, self._seconds = 0, -1, 0.0
        try:
            with FileSource(self._path) as source:
                for stop, point in read_placed_points(source):
                    if point.step > last:
                        break
                    end, self._step, self._seconds = stop, point.step, point.seconds
        except UntrustedDataError as error:
            kept = self._path.with_name(f".{METRICS}.{secrets.token_hex(4)}.damaged")
            shutil.copyfile(self._path, kept)
            warnings.warn(
                f"{error}: the curves go on after step {self._step}; the file as it was is {kept}",
                stacklevel=5,
            )
        os.ftruncate(self._descriptor, end)

    def _write(self) -> None:
        with self._writing:  # the thread that writes checkpoints comes here too
            while self._pending:
                self._pending = self._pending[os.write(self._descriptor, self._pending) :]

    def sync(self) -> None:
        self._write()
        os.fsync(self._descriptor)

    def close(self) -> None:
        self.is_closed = True
        try:
            self.sync()
        finally:
            os.close(self._descriptor)


def now() -> str:
    """UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
