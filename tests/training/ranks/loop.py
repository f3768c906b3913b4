"""A training loop of several ranks: data-parallel, or sharded by FSDP2; dropout and BatchNorm."""

from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset

from cairn import training
from tests.training.loop import digest, seed_all

SAMPLES, BATCH, STEPS, SAVED_AT = 24, 8, 5, 4  # of all ranks together; three steps in an epoch


class RankLoop:
    """One rank's."""

    def __init__(self, seed: int, *, sharded: bool, normed: bool = False) -> None:
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.size = dist.get_world_size() if dist.is_initialized() else 1
        seed_all(seed)
        norm = nn.BatchNorm1d(7) if normed else nn.LayerNorm(7)
        model: nn.Module = nn.Sequential(nn.Linear(4, 7), norm, nn.Dropout(0.2), nn.Linear(7, 3))
        self.is_sharded = sharded and dist.is_initialized()
        if self.is_sharded:
            # On four ranks copies of two pieces each, as on two machines of two devices.
            shape = (2, 2) if self.size == 4 else (self.size,)
            mesh = init_device_mesh(
                "cpu", shape, mesh_dim_names=("copies", "pieces")[-len(shape) :]
            )
            fully_shard(model[0], mesh=mesh)
            fully_shard(model, mesh=mesh)
        elif self.size > 1:
            model = DistributedDataParallel(model)
        self.model = model
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-2)
        self.sampler = training.EpochSampler(SAMPLES, seed=5, rank=self.rank, ranks=self.size)
        x = torch.randn(SAMPLES, 4, generator=torch.Generator().manual_seed(0))
        data = TensorDataset(x, torch.arange(SAMPLES) % 3)
        self.loader = DataLoader(data, BATCH // self.size, sampler=self.sampler)
        seed_all(seed + 100 * self.rank)
        self.losses: list[str] = []
        self.seen: list[list[float]] = []
        self.step = 0

    @property
    def parts(self) -> dict[str, Any]:
        return {"model": self.model, "optimizer": self.optimizer, "sampler": self.sampler}

    def run(self, until: int = STEPS) -> "RankLoop":
        while self.step < until:
            for x, labels in self.sampler.batches(self.loader):
                self.optimizer.zero_grad()
                loss = functional.cross_entropy(self.model(x), labels)
                loss.backward()
                self.optimizer.step()
                self.step += 1
                self.losses.append(loss.item().hex())
                self.seen.append(sorted(x[:, 0].tolist()))
                if self.step == until:
                    break
        return self

    def resume(self, folder: Path, **named: Any) -> training.Resumed:
        back = training.resume(folder, code=folder, **named, **self.parts)
        self.step = back.step
        return back

    def outcome(self, since: int = SAVED_AT) -> dict[str, Any]:
        """Losses of this rank, whole weights and optimizer, its random numbers."""
        return {
            "losses": self.losses[-(STEPS - since) :] if since < STEPS else [],
            "weights": digest(whole(self.model.state_dict())),
            "optimizer": digest(whole(self.optimizer.state_dict())),
            "sampler": digest(self.sampler.state_dict()),
            "random": float(torch.rand(1)).hex(),
        }


def whole(state: Any) -> Any:
    """A state with every tensor put together."""
    if isinstance(state, dict):
        return {str(key).removeprefix("module."): whole(value) for key, value in state.items()}
    if isinstance(state, list):
        return [whole(value) for value in state]
    return state.full_tensor() if hasattr(state, "full_tensor") else state
