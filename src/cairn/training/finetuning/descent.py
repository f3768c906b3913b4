"""The steps of a training: batches, gradients, and an optimizer that follows them."""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.utils.data import DataLoader

from cairn.domain.finetuning import FineTuning, Method
from cairn.errors import RequestError
from cairn.training.finetuning.devices import Randomness, computing
from cairn.training.finetuning.evaluating import moved
from cairn.training.finetuning.methods import set_training
from cairn.training.finetuning.samples import Samples
from cairn.training.finetuning.schedules import scheduler
from cairn.training.finetuning.tasks.base import Batch, Task
from cairn.training.finetuning.trained import Trained
from cairn.training.ranks.group import Ranks
from cairn.training.ranks.launched import apart, in_step, mean_of
from cairn.training.sampler import EpochSampler

Check = Callable[[str, float], None]
"""Is told of a number by its name before it gets into the weights, and raises if it may not."""


class Loss(nn.Module):
    """What a task minimises, as a module whose forward pass is the whole of it."""

    def __init__(self, task: Task, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self._task = task

    def forward(self, batch: Batch) -> Tensor:
        """The mean over the samples of a batch."""
        return self._task.loss(self.model, batch)


class Descent:
    """A model and what moves it; `total` steps, of which `in_epoch` see every sample once.

    Raises:
        RequestError: the batch of the recipe cannot be shared out; there is nothing to train.
    """

    def __init__(
        self, task: Task, model: nn.Module, learnt: Samples, device: torch.device, ranks: Ranks
    ) -> None:
        recipe = self._recipe = task.recipe
        self._task, self._model, self._device, self._ranks = task, model, device, ranks
        self._sampler = EpochSampler(
            len(learnt), seed=recipe.seed, rank=ranks.number, ranks=ranks.size
        )
        share = _share(recipe.batch_size, ranks.size)
        self._loader = DataLoader(learnt, share, sampler=self._sampler, collate_fn=task.collate)
        micro_batches = math.ceil(len(learnt) / recipe.batch_size)
        self.in_epoch = max(1, math.ceil(micro_batches / recipe.accumulate))
        self.total = recipe.steps or max(
            1, round(recipe.epochs * micro_batches / recipe.accumulate)
        )
        self._optimizer = torch.optim.AdamW(_groups(model, recipe), lr=recipe.rate)
        self._scheduler = scheduler(self._optimizer, recipe, self.total)
        self._loss = in_step(ranks, Loss(task, model))
        self._is_whole = True

    @property
    def epoch(self) -> float:
        """How often the samples were seen: from 0, with a fraction."""
        return self._sampler.epoch + self._sampler.position / self._sampler.size

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return float(self._scheduler.get_last_lr()[0])

    @property
    def parts(self) -> dict[str, Any]:
        """What a checkpoint keeps, by name."""
        is_whole = self._recipe.method is Method.FULL
        return {
            "model": self._model if is_whole else Trained(self._model),
            "optimizer": self._optimizer,
            "scheduler": self._scheduler,
            "sampler": self._sampler,
        }

    def computing(self) -> AbstractContextManager[Any]:
        """What a forward pass is run in."""
        return computing(self._device, self._recipe.precision)

    def losses(self, check: Check) -> Iterator[float]:
        """The loss of each step after it, without end: the mean over all ranks."""
        batches = self._batches()
        while True:
            self._note_place()
            set_training(self._model, self._task)
            loss = 0.0
            for number in range(1, self._recipe.accumulate + 1):
                is_last = number == self._recipe.accumulate
                with nullcontext() if is_last else apart(self._loss):
                    loss += self._accumulated(next(batches))
            (loss,) = mean_of(self._ranks, [loss])
            check("the loss", loss)
            norm = clip_grad_norm_(self._model.parameters(), self._recipe.clip or math.inf)
            check("the gradient", float(norm))
            self._is_whole = False
            self._optimizer.step()
            self._scheduler.step()
            self._is_whole = True
            self._optimizer.zero_grad()
            self._note_place()
            yield loss

    def _note_place(self) -> None:
        self._place = self._sampler.state_dict(), Randomness()

    def rewind(self) -> bool:
        """Undo what a step that broke has taken: samples and random numbers.

        Returns whether all is as after the step before: the optimizer may have begun to move.
        """
        if self._is_whole:
            self._optimizer.zero_grad()
            samples, randomness = self._place
            self._sampler.load_state_dict(samples)
            randomness.restore()
        return self._is_whole

    def _batches(self) -> Iterator[Batch]:
        while True:
            yield from self._sampler.batches(self._loader)

    def _accumulated(self, batch: Batch) -> float:
        with self.computing():
            loss = self._loss(moved(batch, self._device))
        loss = loss / self._recipe.accumulate
        loss.backward()
        return float(loss.detach())


def _share(batch_size: int, ranks: int) -> int:
    """How many samples of a batch each rank has."""
    share, rest = divmod(batch_size, ranks)
    if rest:
        raise RequestError(
            f"{ranks} processes cannot share a batch of {batch_size} equally: give"
            f" a --batch-size that {ranks} divides"
        )
    return share


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
