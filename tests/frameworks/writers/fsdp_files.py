"""One of two processes that train a model sharded by FSDP2 and save it: `dcp/` and `full.pt`.

Arguments: the rank, the folder. The processes meet at a file there, so no port is taken.
"""

import sys

import torch
import torch.distributed.checkpoint as dcp
from torch import distributed, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

PROCESSES = 2


def main(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=PROCESSES
    )
    torch.manual_seed(0)
    # Seven and three rows do not share out evenly: the second process holds fewer.
    model = nn.Sequential(nn.Linear(5, 7), nn.LayerNorm(7), nn.Linear(7, 3))
    mesh = init_device_mesh("cpu", (PROCESSES,))
    for module in (model[0], model[2], model):
        fully_shard(module, mesh=mesh)
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": 0.1},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups)
    model(torch.randn(4, 5)).square().sum().backward()
    optimizer.step()
    weights, states = get_state_dict(model, optimizer)
    dcp.save({"model": weights, "optim": states}, checkpoint_id=f"{folder}/dcp")
    whole = StateDictOptions(full_state_dict=True, cpu_offload=True)
    weights, states = get_state_dict(model, optimizer, options=whole)
    if rank == 0:
        torch.save({"model": weights, "optim": states["state"]}, f"{folder}/full.pt")
    distributed.barrier()
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
