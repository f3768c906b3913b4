"""The ranks that a launcher started this process among, and what they reckon together.

`torchrun`, `accelerate launch` and the like say by environment variables who a process is:
https://docs.pytorch.org/docs/stable/elastic/run.html#environment-variables.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from cairn.errors import RequestError, UnavailableError
from cairn.training.ranks.group import Ranks, new_ranks


@contextmanager
def launched_ranks(*, on_cpu: bool) -> Iterator[Ranks]:
    """All ranks, this one alone unless a launcher says otherwise; a device for each of them.

    Raises:
        RequestError: the launcher does not say where ranks meet.
        UnavailableError: they do not find each other.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield Ranks()
        return
    missing = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if missing:
        raise RequestError(
            f"WORLD_SIZE says that several processes train, and nothing says {', '.join(missing)}:"
            " start them by torchrun, or unset WORLD_SIZE"
        )
    has_cuda = torch.cuda.is_available() and not on_cpu
    if has_cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    try:
        torch.distributed.init_process_group("nccl" if has_cuda else "gloo")
    except RuntimeError as error:
        raise UnavailableError(f"the ranks do not find each other: {error}") from error
    try:
        yield new_ranks()
    finally:
        torch.distributed.destroy_process_group()


def mean_of(ranks: Ranks, values: Sequence[float]) -> list[float]:
    """The mean over all ranks of each of some numbers."""
    if ranks.size == 1:
        return list(values)
    told = [sum(one) / ranks.size for one in zip(*ranks.gathered(list(values)), strict=True)]
    return [float(one) for one in told]


def in_step(ranks: Ranks, module: nn.Module) -> nn.Module:
    """The module; its backward pass gives every rank the mean of all ranks' gradients.

    Buckets of gradients are on their way while others are still computed. A parameter that no rank
    has a gradient of stays without; buckets stay as they are, so that a resume adds in the same
    order. https://docs.pytorch.org/docs/stable/notes/ddp.html
    """
    if ranks.size == 1:
        return module
    return DistributedDataParallel(module, broadcast_buffers=False, find_unused_parameters=True)


def apart(module: nn.Module) -> AbstractContextManager[Any]:
    """Gradients in it are added up on each rank alone, to be shared by the next pass outside."""
    return module.no_sync() if isinstance(module, DistributedDataParallel) else nullcontext()


def share_buffers(ranks: Ranks, module: nn.Module) -> None:
    """Give every rank the first one's buffers, such as running means: it writes what comes out."""
    if ranks.size > 1:
        for buffer in module.buffers():
            torch.distributed.broadcast(buffer, 0)
