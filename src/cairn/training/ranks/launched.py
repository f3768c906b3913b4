"""The ranks that a launcher started this process among, and what they reckon together.

`torchrun`, `accelerate launch` and the like say by environment variables who a process is:
https://docs.pytorch.org/docs/stable/elastic/run.html#environment-variables.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

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


def average_gradients(ranks: Ranks, parameters: Iterable[nn.Parameter]) -> None:
    """Give every rank the mean of all ranks' gradients.

    A parameter that no rank has a gradient of stays without; one that some have counts as zero
    elsewhere. The copies take as much memory as the gradients.
    """
    if ranks.size == 1:
        return
    trained = [one for one in parameters if one.requires_grad]
    has = torch.tensor([one.grad is not None for one in trained], dtype=torch.int32)
    by_kind: dict[tuple[torch.device, torch.dtype], list[nn.Parameter]] = {}
    for one, there in zip(trained, ranks.most(has).tolist(), strict=True):
        if there:
            by_kind.setdefault((one.device, one.dtype), []).append(one)
    for some in by_kind.values():
        _average(some, ranks.size)


def _average(parameters: Sequence[nn.Parameter], size: int) -> None:
    """Of one device and type: as one long vector."""
    every = [torch.zeros_like(one) if one.grad is None else one.grad for one in parameters]
    flat: Tensor = torch.cat([one.reshape(-1) for one in every])
    torch.distributed.all_reduce(flat)
    flat /= size
    at = 0
    for one in parameters:
        one.grad = flat[at : at + one.numel()].view_as(one).clone()
        at += one.numel()
