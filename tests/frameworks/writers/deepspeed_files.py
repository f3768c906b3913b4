"""Writes OUT/zeroN, a DeepSpeed checkpoint over two ranks, and the full values in expected.npz.

Called as `deepspeed_files.py OUT STAGE`; starts its own two ranks over gloo on loopback.
"""

import os
import socket
import sys
from pathlib import Path

import numpy as np
import torch


def ready_environment(rank: int, port: int) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "DS_ACCELERATOR": "cpu"}


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Linear(7, 5)
        self.norm = torch.nn.LayerNorm(5)
        self.register_buffer("offset", torch.arange(5.0))
        self.second = torch.nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.norm(self.first(x)) + self.offset.to(x.dtype))


def train(rank: int, out: Path, stage: int, port: int) -> None:
    ready_environment(rank, port)
    import deepspeed

    torch.manual_seed(0)
    config = {
        "train_micro_batch_size_per_gpu": 4,
        "bf16": {"enabled": True},
        "zero_optimization": {"stage": stage},
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
    }
    deepspeed.init_distributed("gloo")
    net = Net()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    engine, *_ = deepspeed.initialize(model=net, optimizer=optimizer, config=config)
    for step in range(3):
        x = torch.randn(4, 7, generator=torch.Generator().manual_seed(step)).bfloat16()
        engine.backward(engine(x).float().pow(2).mean())
        engine.step()
    engine.save_checkpoint(str(out / f"zero{stage}"), tag="step3")
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def main() -> None:
    out, stage = Path(sys.argv[1]), int(sys.argv[2])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    torch.multiprocessing.spawn(train, (out, stage, port), nprocs=2)
    from deepspeed.utils.zero_to_fp32 import get_fp32_state_dict_from_zero_checkpoint

    full = get_fp32_state_dict_from_zero_checkpoint(str(out / f"zero{stage}"), "step3")
    raw = {
        n: np.frombuffer(v.detach().float().numpy().tobytes(), np.uint8) for n, v in full.items()
    }
    np.savez(out / "expected.npz", **raw)


if __name__ == "__main__":
    main()
