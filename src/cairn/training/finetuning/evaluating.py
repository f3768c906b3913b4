"""Looks at held-out samples: the loss, and what the task measures."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from cairn.training.finetuning.devices import seed_everything, undisturbed_randomness
from cairn.training.finetuning.samples import Samples
from cairn.training.finetuning.tasks.base import Batch, Task

LOSS = "eval_loss"


def evaluate(
    task: Task,
    model: nn.Module,
    samples: Samples,
    device: torch.device,
    computing: Callable[[], AbstractContextManager[Any]],
) -> dict[str, float]:
    """Numbers by name, `eval_` before each.

    Every evaluation sees the same random numbers, and training sees nothing of it.
    """
    answers: list[Any] = []
    losses: list[tuple[float, int]] = []
    loader = DataLoader(
        samples,
        batch_size=task.recipe.batch_size,
        collate_fn=task.collate,
    )
    model.eval()
    with undisturbed_randomness(), torch.no_grad():
        seed_everything(task.recipe.seed)
        for batch in loader:
            with computing():
                loss, told = task.answers(model, moved(batch, device))
            losses.append((float(loss), size_of(batch)))
            answers.extend(told)
    total = sum(size for _, size in losses)
    mean = math.fsum(loss * size for loss, size in losses) / total
    return {LOSS: mean, **{f"eval_{n}": v for n, v in task.measure(answers).items()}}


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
