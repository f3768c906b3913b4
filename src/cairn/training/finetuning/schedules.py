"""The learning rate of each step, as a share of the highest."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from cairn.domain.finetuning import FineTuning, Schedule


def scheduler(optimizer: Optimizer, recipe: FineTuning, total: int) -> LambdaLR:
    """Up in a line over the warm-up, then as the recipe says, to 0 after `total` steps."""
    warm = round(recipe.warmup * total)

    def share(step: int) -> float:
        if step < warm:
            return (step + 1) / (warm + 1)
        left = (total - step) / max(1, total - warm)
        match recipe.schedule:
            case Schedule.LINEAR:
                return max(0.0, left)
            case Schedule.COSINE:
                return 0.5 * (1 + math.cos(math.pi * (1 - max(0.0, left))))
            case Schedule.CONSTANT:
                return 1.0

    return LambdaLR(optimizer, share)
