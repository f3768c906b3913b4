"""Looks at held-out samples: the loss, and what the task measures."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from cairn.training.finetuning.devices import seed_everything, undisturbed_randomness
from cairn.training.finetuning.samples import Samples
from cairn.training.finetuning.tasks.base import Batch, Task
from cairn.training.ranks.group import Ranks
from cairn.training.ranks.launched import share_buffers
from cairn.training.seeds import sample_seed

LOSS = "eval_loss"


def evaluate(
    task: Task,
    model: nn.Module,
    samples: Samples,
    device: torch.device,
    computing: Callable[[], AbstractContextManager[Any]],
    ranks: Ranks,
) -> dict[str, float]:
    """Numbers by name, `eval_` before each; ranks share the batches, and all are told.

    A batch has the same samples and random numbers in every evaluation and on any number of
    ranks, and training sees nothing of it.
    """
    share_buffers(ranks, model)
    own: list[tuple[int, float, int, list[Any]]] = []
    model.eval()
    with undisturbed_randomness(), torch.no_grad():
        for number, batch in _own_batches(task, samples, ranks):
            seed_everything(sample_seed(task.recipe.seed, 0, number))
            with computing():
                loss, told = task.answers(model, moved(batch, device))
            own.append((number, float(loss), size_of(batch), list(told)))
    every = sorted((one for some in ranks.gathered_by_first(own) for one in some), key=_number)
    found: dict[str, float] = {}
    if ranks.is_first:
        total = sum(size for _, _, size, _ in every)
        mean = math.fsum(loss * size for _, loss, size, _ in every) / total
        measured = task.measure([one for *_, told in every for one in told])
        found = {LOSS: mean, **{f"eval_{name}": value for name, value in measured.items()}}
    shared: dict[str, float] = ranks.shared(found)
    return shared


def _own_batches(task: Task, samples: Samples, ranks: Ranks) -> Iterator[tuple[int, Batch]]:
    """Every `n`th batch, with its number among all."""
    size, count = task.recipe.batch_size, len(samples)
    places = [list(range(at, min(at + size, count))) for at in range(0, count, size)]
    own = range(ranks.number, len(places), ranks.size)
    loader = DataLoader(
        samples, batch_sampler=[places[number] for number in own], collate_fn=task.collate
    )
    yield from zip(own, loader, strict=True)


def _number(batch: Sequence[Any]) -> int:
    number: int = batch[0]
    return number


def moved(batch: Batch, device: torch.device) -> Batch:
    """The batch on a device."""
    return {name: _moved(value, device) for name, value in batch.items()}


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, list):
        return [_moved(one, device) for one in value]
    if isinstance(value, dict):
        return {name: _moved(one, device) for name, one in value.items()}
    return value.to(device)


def size_of(batch: Batch) -> int:
    """How many samples a batch has."""
    return len(next(iter(batch.values())))
