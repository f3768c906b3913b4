"""Writes `training-<version>.json`: a training checkpoint of the present format, in base64.

Run once per format version, by the code that introduced it, and keep the result:
`python -m tests.old.make_training`. Never run again to make a failing test pass.
"""

import base64
import json
import math
import tempfile
from collections import OrderedDict, deque
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from cairn.formats.training_record import VERSION
from cairn.training import EpochSampler, save

STEP, ACCUMULATED, METRICS = 7, 2, {"loss": 0.1, "accuracy": 1}
VALUES: dict[str, Any] = {
    "plain": [None, True, 3, 0.1, -0.0, "ä", {"a": []}],
    "marked": (2**70, math.inf, 1 + 2j, b"\0\1", bytearray(b"x"), {1, 2}, frozenset("a")),
    "dicts": [{1: "one", "1": "text", None: 0}, OrderedDict(a=1), deque([1, 2], 3)],
    "numpy": [np.float32(0.1), np.int64(-3), np.bool_(True), np.arange(6).reshape(2, 3)],
    "torch": [torch.Size((2, 3)), torch.bfloat16, torch.device("cpu")],
    "tensors": [torch.arange(3, dtype=torch.bfloat16), torch.tensor([1 + 2j])],
    "text": "\ud800",
}


def fixture(version: int) -> Path:
    """The file that holds the checkpoint of a format version."""
    return Path(__file__).with_name(f"training-{version}.json")


def loop(*, filled: bool) -> dict[str, Any]:
    """The parts of a loop: as they were saved, or as they are built anew."""
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 3))
    model[2].weight = model[0].weight
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.25)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    sampler = EpochSampler(10, seed=1)
    noise = np.random.default_rng(5)
    if filled:
        for number, tensor in enumerate((*model.parameters(), *model.buffers())):
            tensor.data.fill_(number + 1)
        for number, parameter in enumerate(model.parameters()):
            parameter.grad = torch.full_like(parameter, number - 0.5)
            state = {"step": torch.tensor(7.0)}
            for key in ("exp_avg", "exp_avg_sq"):
                state[key] = torch.full_like(parameter, number + len(key))
            optimizer.state[parameter] = state
        scheduler.last_epoch = 3
        sampler.epoch, sampler.position = 2, 4
        noise.random(3)
    return {
        "model": model,
        "optimizer": optimizer,
        "scheduler": scheduler,
        "sampler": sampler,
        "noise": noise,
    }


def main() -> None:
    """Save the loop, and keep every file of the checkpoint."""
    torch.manual_seed(11)
    with tempfile.TemporaryDirectory() as folder:
        made = save(
            folder,
            STEP,
            metrics=METRICS,
            values=VALUES,
            accumulated=ACCUMULATED,
            data_digest="sha256:00",
            **loop(filled=True),
        )
        kept = {path.name: base64.b64encode(path.read_bytes()).decode() for path in made.iterdir()}
    fixture(VERSION).write_text(json.dumps(dict(sorted(kept.items())), indent=1) + "\n")


if __name__ == "__main__":
    main()
