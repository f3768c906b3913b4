"""A training run: its parts, its folder, and checkpoints that are written while it goes on."""

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cairn.domain import (
    BaseModel,
    Retention,
    RunStatus,
    TrainingData,
    TrainingRecipe,
    TrainingSession,
)
from cairn.errors import IntegrityError, RequestError, UnavailableError, UntrustedDataError
from cairn.provenance.code_revision import code_revision, program_folder
from cairn.training.capture import captured, plain_number
from cairn.training.checkpoints import is_finite, metrics_of, steps
from cairn.training.environment import environment, is_first_process
from cairn.training.folders import StepFolder, make_folder, remove_step, step_folders
from cairn.training.logbook import Logbook, now
from cairn.training.modules import device_kinds
from cairn.training.orders import NO_ORDERS, orders_for
from cairn.training.pushing import Pushing, fetch_begun
from cairn.training.ranks.division import Share, share
from cairn.training.ranks.group import new_ranks
from cairn.training.resuming import Resumed, resume_together
from cairn.training.saving import write
from cairn.training.staging import Staging
from cairn.training.this_program import recipe_of_this_program


class Run:
    """Saves in the background: `save` returns when the state is copied, not when it is written.

    At most one checkpoint is being written. What goes wrong with it is raised by the next `save`,
    by `wait`, or on leaving the `with` block, which waits. Copies take as much memory as the state.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        keep: Retention | None = None,
        name: str | None = None,
        seed: int | None = None,
        base: BaseModel | str | None = None,
        data: TrainingData | Sequence[TrainingData] = (),
        recipe: TrainingRecipe | None = None,
        push: str | None = None,
        data_digest: str | None = None,
        code: Path | None = None,
        **parts: object,
    ) -> None:
        """Begin the run in a folder, or go on with the one that is there.

        `keep` says which checkpoints stay (all unless given). The run's record has `name` (of the
        folder unless given), `seed`, `base` (`org/name@revision` or a path) and `data`; `recipe`
        is how it is started again, this program unless given. `push` is where checkpoints are sent
        when they are written, `org/name` on the hub of HF_ENDPOINT or `store:FOLDER/NAME`; it
        never holds training up, and what is there goes into a folder that has nothing.
        `data_digest` and `code` are as `save` takes them; the digest is that of the data where
        they are one and have one.

        Raises:
            ConflictError: another process writes the run.
            RequestError: the folder cannot be one. UntrustedDataError: it has another record.
            UnavailableError: a newer Cairn wrote the record, or the disk is full.
        """
        self._orders = orders_for(Path(folder))
        self.folder = Path(folder if self._orders.into is None else self._orders.into)
        self._until = self._orders.until
        self._as_named = str(folder)
        data = (data,) if isinstance(data, TrainingData) else tuple(data)
        if data_digest is None and len(data) == 1:
            data_digest = data[0].digest
        self._keep = keep
        self._data_digest = data_digest
        self._code = code
        self._parts = parts
        about = {
            "name": name,
            "seed": seed,
            "base": BaseModel.parse(base) if isinstance(base, str) else base,
            "data": data or None,
            "keep": keep,
        }
        self._ranks = new_ranks()
        pushes = push is not None and is_first_process()
        with self._ranks.agreeing():
            if pushes:
                fetch_begun(self.folder, push or "")
            self._book = self._logbook(recipe, about) if is_first_process() else None
        self._pushing = Pushing(self.folder, push or "") if pushes else None
        self._staging = Staging()
        self._metrics: dict[int, Mapping[str, float]] = {}
        self._left: list[StepFolder] = []
        self._writer = ThreadPoolExecutor(1, "cairn-checkpoint")
        self._writing: Future[None] | None = None
        self._closed = False

    def _logbook(self, recipe: TrainingRecipe | None, about: Mapping[str, Any]) -> Logbook:
        make_folder(self.folder)
        revision = code_revision(self._code or program_folder())
        conditions = environment(revision, self._data_digest, device_kinds(self._parts))
        started_as = recipe_of_this_program(self.folder, self._as_named)
        if recipe is not None:
            started_as = replace(recipe, directory=started_as.directory, folder=started_as.folder)
        return Logbook(self.folder, TrainingSession(now(), None, started_as, conditions), about)

    def resume(
        self, *, step: int | None = None, allow: Collection[str] | str = ()
    ) -> Resumed | None:
        """Go on from the newest checkpoint, or from `step`; None where the run has yet to begin.

        What the run logged after that step goes when it logs again, and later checkpoints go when
        it has saved again: it takes another way.

        Raises:
            As `resume`, but for a run without checkpoints if no step is named.
        """
        self.wait()
        orders, self._orders = self._orders, NO_ORDERS  # they are for the first time
        step = orders.step if step is None else step
        if step is None and not self._ranks.shared(self.steps()):
            return None
        back = resume_together(
            self._ranks,
            self.folder,
            self._parts,
            step=step,
            allow={*([allow] if isinstance(allow, str) else allow), *orders.allow},
            data_digest=self._data_digest,
            code=self._code,
        )
        self._left = [found for found in step_folders(self.folder) if found.step > back.step]
        if self._book is not None:
            self._book.resumed(back.step)
        return back

    def log(self, step: int, *, epoch: float | None = None, **metrics: Any) -> None:
        """Add numbers of a step, such as the loss, to the curves of the run.

        They outlive a kill of the process at once, and a power cut with the next checkpoint. NaN
        and infinite ones are warned of. A disk that is full does no harm: the lines wait.

        Raises:
            RequestError: a value is no number, or a later step was logged before.
            SystemExit: whoever started this program wants no more than the steps before.
        """
        self._stop_after_until(step)
        values = {name: _measured(name, value) for name, value in metrics.items()}
        if self._book is not None:
            self._book.log(step, epoch, values)

    def steps(self) -> list[int]:
        """The steps that are kept, in order."""
        return steps(self.folder)

    def save(
        self,
        step: int,
        *,
        metrics: Mapping[str, Any] | None = None,
        values: Mapping[str, Any] | None = None,
        accumulated: int = 0,
    ) -> None:
        """Copy the state, after waiting for the checkpoint before, and have it written.

        Raises:
            RequestError: something cannot be kept exactly, or the run is closed.
            UnavailableError: the checkpoint before could not be written. This one is not either:
                save again.
            SystemExit: as `log`.
        """
        self._stop_after_until(step)
        if self._closed:
            raise RequestError(f"the run in {self.folder} is closed")
        self.wait()
        with self._ranks.agreeing():
            capture = captured(
                self._parts,
                step,
                metrics=metrics or {},
                values=values or {},
                accumulated=accumulated,
                data_digest=self._data_digest,
                code=self._code,
            )
        kept = share(capture, self._ranks)
        staged = replace(kept, capture=self._staging.copied(kept.capture))
        self._writing = self._writer.submit(self._write, staged)

    def _stop_after_until(self, step: int) -> None:
        """The program ends as if it were over: its run has what was asked for."""
        if self._until is not None and step > self._until:
            raise SystemExit(0)

    def wait(self) -> None:
        """Until what was saved is durable.

        Raises:
            UnavailableError: it could not be written.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def close(self) -> None:
        """Wait, and save no more: the run has ended. May be called twice."""
        self._close(None)

    def _close(self, error: BaseException | None) -> None:
        self._closed = True
        try:
            self.wait()
        except BaseException as failure:
            error = error or failure
            raise
        finally:
            self._writer.shutdown()
            if self._book is not None:
                self._book.close(_status(error), error)
            if self._pushing is not None:
                self._pushing.close(_status(error))
                self._pushing = None

    def _write(self, kept: Share) -> None:
        if self._book is not None:
            with suppress(OSError):  # `log` tells of a full disk, and the state matters more
                self._book.sync()
        write(self.folder, kept, self._ranks, self._left)
        self._left = []
        if not self._ranks.is_first:
            return
        if self._keep is not None:
            self._prune(self._keep)
        if self._pushing is not None:
            self._pushing.want()

    def _prune(self, policy: Retention) -> None:
        """Remove what no rule keeps. A damaged checkpoint counts for none and stays to be seen."""
        folders = {found.step: found for found in step_folders(self.folder)}
        for step, found in folders.items():
            if step not in self._metrics or step == max(folders):
                with suppress(IntegrityError, UntrustedDataError, UnavailableError):
                    self._metrics[step] = metrics_of(found)
        finite = {
            step: {name: v for name, v in self._metrics[step].items() if is_finite(v)}
            for step in folders
            if step in self._metrics
        }
        for step in set(finite) - policy.kept(finite):
            remove_step(folders[step])
            del self._metrics[step]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close(error)


def _measured(name: str, value: Any) -> int | float:
    """A number as curves have it: integers that a float would round are floats."""
    number = plain_number(name, value)
    try:
        return (
            int(number)
            if isinstance(number, int) and int(float(number)) == number
            else float(number)
        )
    except OverflowError:
        raise RequestError(f"the metric {name!r} is a number too large for a curve") from None


def _status(error: BaseException | None) -> RunStatus:
    if error is None or (isinstance(error, SystemExit) and not error.code):
        return RunStatus.ENDED
    # A wish to stop, by Ctrl-C or by the program, and not a fault.
    return RunStatus.FAILED if isinstance(error, Exception) else RunStatus.INTERRUPTED
