"""The one training loop that all tasks on rows share: resumable to the bit after any step."""

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import torch
from torch import nn

from cairn.domain import Retention
from cairn.errors import CairnError, IntegrityError, RequestError, UntrustedDataError
from cairn.training.exactness import EVERYTHING
from cairn.training.finetuning.descent import Descent
from cairn.training.finetuning.evaluating import evaluate
from cairn.training.finetuning.memory import has_run_out
from cairn.training.finetuning.progress import Progress, Watcher
from cairn.training.finetuning.samples import Samples
from cairn.training.finetuning.standing import Standing
from cairn.training.finetuning.story import CODE, NEWEST_KEPT, Ended, Story
from cairn.training.finetuning.tasks.base import Task
from cairn.training.folders import step_folders
from cairn.training.ranks.group import Ranks
from cairn.training.resuming import Resumed, resume
from cairn.training.run import Run


class Training:
    """One run of the loop over a model in place: when it is measured, saved, and over."""

    def __init__(
        self,
        task: Task,
        model: nn.Module,
        learnt: Samples,
        held_out: Samples | None,
        device: torch.device,
        ranks: Ranks,
    ) -> None:
        self._recipe, self._objective = task.recipe, task.objective
        self._task, self._model, self._held_out, self._device = task, model, held_out, device
        self._ranks = ranks
        self._descent = Descent(task, model, learnt, device, ranks)
        self._total = self._descent.total
        self._standing = Standing()

    def run(self, story: Story, allow: Sequence[str], watcher: Watcher) -> Ended:
        """Train to the end, or until the watcher stops it; goes on with what is in the run.

        Raises:
            RequestError: a loss is not a number; what is in the run is of another model.
            InexactError: the run there would not go on to the bit.
        """
        step = 0
        try:
            with self._opened(story) as run:
                back = self._back(run, allow)
                if back:
                    step, self._standing = back.step, Standing(**back.values["standing"])
                    self._forget_missing_best(run)
                for loss in self._losses(run, step):
                    step += 1
                    with self._rescuing(run, step):
                        is_to_stop = any(self._ranks.gathered(watcher.is_to_stop()))
                        watcher.told(self._noted(run, step, loss, is_to_stop=is_to_stop))
                    if self._standing.is_over or step == self._total:
                        break
                    if is_to_stop:
                        raise _StoppedError  # the record of the run says that it was interrupted
        except _StoppedError:
            return Ended(step, self._total, step, {}, is_interrupted=True)
        return self._ended(run, story, step)

    def _back(self, run: Run, allow: Sequence[str]) -> Resumed | None:
        """The state of the newest checkpoint, if there is one."""
        try:
            return run.resume(allow=set(allow))
        except (IntegrityError, UntrustedDataError) as error:
            *older, newest = step_folders(run.folder)
            way = f"from step {older[-1].step}" if older else "from the beginning"
            raise IntegrityError(
                f"the checkpoint {newest.path} is damaged ({error}): delete this folder, and the"
                f" same command goes on {way}"
            ) from error

    def _forget_missing_best(self, run: Run) -> None:
        """A run that came from elsewhere may be without its best checkpoint."""
        best = self._standing.best_step
        if best is None or best in self._ranks.shared(run.steps()):
            return
        self._standing.best_step, self._standing.measured = None, {}
        warnings.warn(
            f"step {best}, the best so far, is not in {run.folder}: the best of those measured"
            " from here on is chosen; to have it too, fetch it with --step before going on",
            stacklevel=2,
        )

    def _noted(self, run: Run, step: int, loss: float, *, is_to_stop: bool) -> Progress:
        """Measure, save and log what is due after a step."""
        measured = self._measured(step)
        is_due = self._is_due(self._recipe.save_every, step)
        is_saved = is_due or is_to_stop or bool(measured) or step == self._total
        epoch, rate = self._descent.epoch, self._descent.rate
        run.log(step, epoch=epoch, loss=loss, learning_rate=rate, **measured)
        if is_saved:
            self._save(run, step, {"loss": loss, **measured})
        return Progress(step, self._total, epoch, loss, rate, measured, is_saved)

    def _opened(self, story: Story) -> Run:
        return Run(
            story.folder,
            keep=Retention(
                last=NEWEST_KEPT,
                best=1 if self._held_out else 0,
                metric=f"eval_{self._objective.metric}",
                highest=self._objective.highest,
            ),
            name=story.name,
            seed=self._recipe.seed,
            base=story.base,
            data=story.data,
            recipe=story.started,
            data_digest=story.data_digest,
            code=CODE,
            **self._descent.parts,
        )

    def _losses(self, run: Run, step: int) -> Iterator[float]:
        """The loss of each step that is left."""
        if step >= self._total or self._standing.is_over:
            return

        def check(what: str, value: float) -> None:
            self._check(run, step + 1, what, value)

        losses = self._descent.losses(check)
        while True:
            with self._rescuing(run, step):
                loss = next(losses)
            step += 1
            yield loss

    @contextmanager
    def _rescuing(self, run: Run, step: int) -> Iterator[None]:
        """Where memory ends or a row does not do, save what the last whole step made.

        Ranks save together, and the others are in the middle of theirs: alone a process may.
        """
        try:
            yield
        except (CairnError, RuntimeError, MemoryError) as error:
            is_full = has_run_out(error)
            if is_full or (isinstance(error, CairnError) and not isinstance(error, _OddError)):
                if step and self._ranks.size == 1 and self._descent.rewind():
                    with suppress(CairnError, RuntimeError, MemoryError):
                        run.wait()
                        if step not in run.steps():
                            self._save(run, step, {})
                if is_full:
                    error.add_note(_kept(run))
            raise

    def _check(self, run: Run, step: int, what: str, value: float) -> None:
        """Stop before a number that is none gets into the weights."""
        if math.isfinite(value):
            return
        if step == 1:
            raise _OddError(
                f"{what} is {value} at the first step, before anything was learnt: some weight of"
                " the base or some row of the data is not finite, or --precision float32 helps"
            )
        raise _OddError(
            f"{what} is {value} at step {step}; {_kept(run)}. Try a lower --learning-rate (it is"
            f" {self._recipe.rate:g}), a longer --warmup or --precision float32, and look for"
            " odd rows in the data"
        )

    def _measured(self, step: int) -> dict[str, float]:
        is_due = self._is_due(self._recipe.evaluate_every, step)
        if self._held_out is None or not (is_due or step == self._total):
            return {}
        model, computing = self._model, self._descent.computing
        found = evaluate(self._task, model, self._held_out, self._device, computing, self._ranks)
        self._standing.note(step, found, self._objective)
        patience = self._recipe.patience
        self._standing.is_over = bool(patience) and self._standing.without_better >= patience
        return found

    def _is_due(self, every: int | None, step: int) -> bool:
        return step % (every or self._descent.in_epoch) == 0

    def _save(self, run: Run, step: int, measured: dict[str, float]) -> None:
        finite = {name: value for name, value in measured.items() if math.isfinite(value)}
        run.save(step, metrics=finite, values={"standing": self._standing.said()})

    def _ended(self, run: Run, story: Story, step: int) -> Ended:
        """With the weights of the best step that was measured; the record of the run is closed.

        Nothing is computed with them: whatever differs from when they were saved may.
        """
        best = self._standing.best_step
        if best is not None and best != step:
            resume(
                run.folder,
                step=best,
                allow=EVERYTHING,
                data_digest=story.data_digest,
                code=CODE,
                **self._descent.parts,
            )
        return Ended(step, self._total, best or step, self._standing.measured)


def _kept(run: Run) -> str:
    """What there is to go on from."""
    run.wait()
    kept = run.steps()
    return f"step {kept[-1]} is kept in {run.folder}" if kept else "nothing was saved before"


class _OddError(RequestError):
    """A loss or gradient is no number: the steps before may have led there."""


class _StoppedError(KeyboardInterrupt):
    """Whoever looks on wishes an end."""
