"""A process that really trains for two steps on a CPU, and says what it took.

Reads what `cairn.training.exact.child` reads. Counting storages takes time and next to no memory.
"""

import gc
import json
import resource
import sys
from contextlib import nullcontext

import torch

from cairn.training.exact import models
from cairn.training.exact.batches import batch_for, loss_of
from cairn.training.exact.live_storages import Kind, LiveStorages

STEPS = 2


def main() -> None:
    asked = json.load(sys.stdin)
    config, plan = asked["config"], asked["plan"]
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = models.model_of(config, "eager" if plan["attention"] == "eager" else "sdpa")
    if plan["method"] == "lora":
        model = models.with_adapter(model, plan["rank"], plan["targets"], 0.0)
    models.materialise(model, nullcontext())
    model.train()
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.fill_(0.01 if tensor.is_floating_point() else 0)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, foreach=False)
    gc.collect()
    live = LiveStorages()
    with live:
        live.mark((*model.parameters(), *model.buffers()), Kind.WEIGHTS)
        train(model, plan, optimizer, live)
    told = {"live_bytes": live.peak_bytes, "process_bytes": highest_bytes()}
    json.dump(told, sys.stdout)


def highest_bytes() -> int:
    """The most memory of its own that this process had so far."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def train(
    model: torch.nn.Module,
    plan: dict[str, object],
    optimizer: torch.optim.Optimizer,
    live: LiveStorages,
) -> None:
    base = model.get_base_model() if hasattr(model, "peft_config") else model
    for _ in range(STEPS):
        live.start_peak()
        loss_of(model, batch_for(base, plan)).backward()
        optimizer.step()
        optimizer.zero_grad()


if __name__ == "__main__":
    main()
