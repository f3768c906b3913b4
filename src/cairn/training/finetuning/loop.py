"""The one training loop that all tasks on rows share: resumable to the bit after any step."""

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_
from torch.utils.data import DataLoader

import cairn
from cairn.domain import BaseModel, Retention, TrainingData, TrainingRecipe
from cairn.domain.finetuning import FineTuning, Method
from cairn.errors import RequestError
from cairn.training.exactness import EVERYTHING
from cairn.training.finetuning.devices import computing
from cairn.training.finetuning.evaluating import evaluate, moved
from cairn.training.finetuning.methods import set_training
from cairn.training.finetuning.progress import Progress, Watcher
from cairn.training.finetuning.samples import Samples
from cairn.training.finetuning.schedules import scheduler
from cairn.training.finetuning.tasks.base import Batch, Objective, Task
from cairn.training.finetuning.trained import Trained
from cairn.training.ranks.group import Ranks
from cairn.training.ranks.launched import average_gradients, mean_of
from cairn.training.resuming import resume
from cairn.training.run import Run
from cairn.training.sampler import EpochSampler

NEWEST_KEPT = 2  # beside the best
# The program is Cairn, whose release is recorded; the code where a user calls it says nothing.
CODE = Path(Path(cairn.__file__).anchor)


@dataclass(frozen=True, slots=True)
class Story:
    """What the record of a run says: where it is, what it began with, how it is started again."""

    folder: Path
    name: str
    base: BaseModel
    data: Sequence[TrainingData]
    data_digest: str
    started: TrainingRecipe


@dataclass(slots=True)
class Standing:
    """How a run stands: what a checkpoint keeps of the loop beside its parts.

    `measured` are the numbers of `best_step`, which is None until a measure was a number.
    """

    best_step: int | None = None
    measured: dict[str, float] = field(default_factory=dict)
    without_better: int = 0
    is_over: bool = False

    def said(self) -> dict[str, Any]:
        """As values of a checkpoint."""
        return {name: getattr(self, name) for name in self.__slots__}

    def note(self, step: int, measured: dict[str, float], objective: Objective) -> None:
        """Take note of an evaluation; what is no finite number brings nothing, and is never best.

        Of equals the newest is the best, as for what a run keeps; patience wants a better one.
        """
        value, best = (
            one.get(f"eval_{objective.metric}", math.nan) for one in (measured, self.measured)
        )
        gain = (value - best) * (1 if objective.highest else -1)
        is_first = self.best_step is None
        is_number = math.isfinite(value)  # no other is among the numbers by which steps are kept
        is_better = is_number and (is_first or gain > 0)
        self.without_better = 0 if is_better else self.without_better + 1
        if is_number and (is_first or gain >= 0):
            self.best_step, self.measured = step, measured


@dataclass(frozen=True, slots=True)
class Ended:
    """How training ended: after `step` of `total`; the weights are those of `chosen_step`.

    `measured` are the numbers of the chosen step, empty where nothing was held out or no measure
    was a number: then the last step is chosen.
    """

    step: int
    total: int
    chosen_step: int
    measured: dict[str, float]
    is_interrupted: bool = False


class Training:
    """One run of the loop over a model in place."""

    def __init__(
        self,
        task: Task,
        model: nn.Module,
        learnt: Samples,
        held_out: Samples | None,
        device: torch.device,
        ranks: Ranks,
    ) -> None:
        recipe = self._recipe = task.recipe
        self._ranks = ranks
        self._task, self._model, self._held_out, self._device = task, model, held_out, device
        self._sampler = EpochSampler(
            len(learnt), seed=recipe.seed, rank=ranks.number, ranks=ranks.size
        )
        share, rest = divmod(recipe.batch_size, ranks.size)
        if rest:
            raise RequestError(
                f"{ranks.size} processes cannot share a batch of {recipe.batch_size} equally: give"
                f" a --batch-size that {ranks.size} divides"
            )
        self._loader = DataLoader(learnt, share, sampler=self._sampler, collate_fn=task.collate)
        micro_batches = math.ceil(len(learnt) / recipe.batch_size)
        self._in_epoch = max(1, math.ceil(micro_batches / recipe.accumulate))
        self.total = recipe.steps or max(
            1, round(recipe.epochs * micro_batches / recipe.accumulate)
        )
        self._optimizer = torch.optim.AdamW(_groups(model, recipe), lr=recipe.rate)
        self._scheduler = scheduler(self._optimizer, recipe, self.total)
        self._standing = Standing()
        self._objective = task.objective

    def run(self, story: Story, allow: Sequence[str], watcher: Watcher) -> Ended:
        """Train to the end, or until the watcher stops it; goes on with what is in the run.

        Raises:
            RequestError: a loss is not a number; what is in the run is of another model.
            InexactError: the run there would not go on to the bit.
        """
        step = 0
        try:
            with self._opened(story) as run:
                back = run.resume(allow=set(allow))
                if back:
                    step, self._standing = back.step, Standing(**back.values["standing"])
                    self._forget_missing_best(run)
                for loss in self._losses(run, step):
                    step += 1
                    is_to_stop = any(self._ranks.gathered(watcher.is_to_stop()))
                    watcher.told(self._noted(run, step, loss, is_to_stop=is_to_stop))
                    if self._standing.is_over or step == self.total:
                        break
                    if is_to_stop:
                        raise _StoppedError  # the record of the run says that it was interrupted
        except _StoppedError:
            return Ended(step, self.total, step, {}, is_interrupted=True)
        return self._ended(run, story, step)

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
        is_saved = is_due or is_to_stop or bool(measured) or step == self.total
        epoch = self._sampler.epoch + self._sampler.position / self._sampler.size
        rate = float(self._scheduler.get_last_lr()[0])
        run.log(step, epoch=epoch, loss=loss, learning_rate=rate, **measured)
        if is_saved:
            self._save(run, step, {"loss": loss, **measured})
        return Progress(step, self.total, epoch, loss, rate, measured, is_saved)

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
            **self._parts(),
        )

    def _parts(self) -> dict[str, Any]:
        is_whole = self._recipe.method is Method.FULL
        return {
            "model": self._model if is_whole else Trained(self._model),
            "optimizer": self._optimizer,
            "scheduler": self._scheduler,
            "sampler": self._sampler,
        }

    def _losses(self, run: Run, step: int) -> Iterator[float]:
        """The loss of each step, after it."""
        if step >= self.total or self._standing.is_over:
            return
        batches = self._batches()
        while True:
            set_training(self._model, self._task)
            loss = 0.0
            for _ in range(self._recipe.accumulate):
                loss += self._accumulated(next(batches))
            step += 1
            (loss,) = mean_of(self._ranks, [loss])
            self._check(run, step, "the loss", loss)
            average_gradients(self._ranks, self._model.parameters())
            norm = clip_grad_norm_(self._model.parameters(), self._recipe.clip or math.inf)
            self._check(run, step, "the gradient", float(norm))
            self._optimizer.step()
            self._scheduler.step()
            self._optimizer.zero_grad()
            yield loss

    def _batches(self) -> Iterator[Batch]:
        while True:
            yield from self._sampler.batches(self._loader)

    def _accumulated(self, batch: Batch) -> float:
        with self._computing():
            loss = self._task.loss(self._model, moved(batch, self._device))
        loss = loss / self._recipe.accumulate
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    def _computing(self) -> AbstractContextManager[Any]:
        return computing(self._device, self._recipe.precision)

    def _check(self, run: Run, step: int, what: str, value: float) -> None:
        """Stop before a number that is none gets into the weights."""
        if math.isfinite(value):
            return
        run.wait()
        kept = run.steps()
        before = f"step {kept[-1]} is kept in {run.folder}" if kept else "nothing was saved before"
        raise RequestError(
            f"{what} is {value} at step {step}; {before}. Try a lower --learning-rate (it is"
            f" {self._recipe.rate:g}), a longer --warmup or --precision float32, and look for"
            " odd rows in the data"
        )

    def _measured(self, step: int) -> dict[str, float]:
        is_due = self._is_due(self._recipe.evaluate_every or self._in_epoch, step)
        if self._held_out is None or not (is_due or step == self.total):
            return {}
        found: dict[str, float] = {}
        if self._ranks.is_first:  # the weights are the same everywhere
            model, held_out = self._model, self._held_out
            found = evaluate(self._task, model, held_out, self._device, self._computing)
        found = self._ranks.shared(found)
        self._standing.note(step, found, self._objective)
        patience = self._recipe.patience
        self._standing.is_over = bool(patience) and self._standing.without_better >= patience
        return found

    def _is_due(self, every: int | None, step: int) -> bool:
        return step % (every or self._in_epoch) == 0

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
                **self._parts(),
            )
        return Ended(step, self.total, best or step, self._standing.measured)


class _StoppedError(KeyboardInterrupt):
    """Whoever looks on wishes an end."""


def _groups(model: nn.Module, recipe: FineTuning) -> list[dict[str, Any]]:
    """Matrices decay; biases and the scales of normalisations, which have one dimension, do not."""
    trained = [one for one in model.parameters() if one.requires_grad]
    if not trained:
        raise RequestError("the method leaves nothing to train")
    groups = (
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    )
    return [group for group in groups if group["params"]]
