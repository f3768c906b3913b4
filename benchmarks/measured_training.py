"""A process that really trains for two steps on a CPU, and says what it took.

Reads what `cairn.training.exact.child` reads. Counting storages takes time and next to no memory.
"""

import gc
import json
import sys
from contextlib import nullcontext

import torch

from cairn.training.exact import models
from cairn.training.exact.batches import batch_for, loss_of
from cairn.training.exact.four_bits import four_bit_layers, scales_of
from cairn.training.exact.live_storages import Kind, LiveStorages
from cairn.training.exact.optimizers import optimizer_for
from cairn.training.exact.resident import peak_resident_bytes
from cairn.training.exact.steps import to_train

STEPS = 2


def main() -> None:
    asked = json.load(sys.stdin)
    config, plan = asked["config"], asked["plan"]
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = models.model_of(config, "eager" if plan["attention"] == "eager" else "sdpa")
    model = to_train(model, plan)
    models.materialise(model, nullcontext())
    model.train()
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.fill_(0.01 if tensor.is_floating_point() else 0)
    quantise(model, double=plan["double_quant"])
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = optimizer_for(plan["optimizer"], trained)
    gc.collect()
    live = LiveStorages()
    with live:
        live.mark((*model.parameters(), *model.buffers(), *scales_of(model)), Kind.WEIGHTS)
        train(model, plan, optimizer, live)
    told = {"live_bytes": live.peak_bytes, "process_bytes": peak_resident_bytes()}
    json.dump(told, sys.stdout)


def quantise(model: torch.nn.Module, *, double: bool) -> None:
    """Have bitsandbytes itself put matrices into 4 bits, as when a model is loaded."""
    for module in four_bit_layers(model):
        from bitsandbytes.nn import Params4bit

        weight = Params4bit(
            module.weight.data,
            requires_grad=False,
            compress_statistics=double,
            quant_type="nf4",
            module=module,
        )
        module.weight = weight.to("cpu")
        module.support_avx512bf16_for_cpu = False


def train(
    model: torch.nn.Module,
    plan: dict[str, object],
    optimizer: torch.optim.Optimizer,
    live: LiveStorages,
) -> None:
    base = model.get_base_model() if hasattr(model, "peft_config") else model
    for _ in range(STEPS):
        live.start_peak()
        with torch.autocast("cpu", torch.bfloat16, enabled=plan["precision"] == "amp"):
            loss = loss_of(model, batch_for(base, plan))
        loss.backward()
        del loss
        optimizer.step()
        optimizer.zero_grad()


if __name__ == "__main__":
    main()
