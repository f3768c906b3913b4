"""A model with dropout and data with augmentation, and a way to stop in the middle."""

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from cairn import training

SAMPLES = 20


class Tiny(nn.Module):
    """Dropout, and a buffer that every step changes."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 2)
        )

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        logits = self.layers(x)
        return {"loss": functional.cross_entropy(logits, labels), "logits": logits}


class Samples(torch.utils.data.Dataset[dict[str, Any]]):
    """Samples with noise that follows from the seed of their index."""

    def __init__(self, size: int = SAMPLES) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> dict[str, Any]:
        x = np.random.default_rng(int(index)).normal(size=4)
        if isinstance(index, training.SampleIndex):
            x = x + np.random.default_rng(index.seed).normal(0, 0.1, 4)
        return {"x": torch.tensor(x, dtype=torch.float32), "labels": int(index) % 2}


class StoppedError(Exception):
    """Somebody pulled the plug."""
