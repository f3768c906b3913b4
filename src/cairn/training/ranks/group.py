"""The processes that train together, and how they agree: JSON over a group of their own.

Nothing that is sent is a pickle, unlike `torch.distributed.all_gather_object`. The group is gloo's,
so that it works beside whatever training uses, also from the thread that writes checkpoints.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from cairn import errors
from cairn.errors import CairnError, InexactError, IntegrityError, UnavailableError

# A rank that comes this late to a save is taken for one that will not: each step is taken by all.
_MEETING = timedelta(minutes=10)
# All wait for the one whose share of the held-out takes longest, and while the first one writes;
# torch's 30 minutes would end the run. A rank that is gone closes its connection: that is noticed.
_WAIT = timedelta(days=1)
# What a message alone makes.
_SAID = (
    "RequestError",
    "UnavailableError",
    "IntegrityError",
    "EntryNotFoundError",
    "ConflictError",
)


class Ranks:
    """One process among `size`, `number` of which counts from 0; alone unless given a group."""

    def __init__(self, group: Any = None) -> None:
        self._group = group
        self.number = 0 if group is None else torch.distributed.get_rank()
        self.size = 1 if group is None else torch.distributed.get_world_size()

    @property
    def is_first(self) -> bool:
        """Whether it does what only one may do."""
        return self.number == 0

    @contextmanager
    def agreeing(self) -> Iterator[None]:
        """What one rank cannot do, none has done: its error is raised by all.

        Raises:
            UnavailableError: a rank is gone, or does not come.
        """
        own: CairnError | None = None
        try:
            yield
        except CairnError as error:
            own = error
        if self._group is None:
            if own is not None:
                raise own
            return
        told = self.gathered(None if own is None else [type(own).__name__, str(own)])
        if own is not None:
            raise own
        for rank, one in enumerate(told):
            if one is not None:
                raise _error(rank, *one)

    def meet(self, what: str) -> None:
        """Wait for every rank.

        Raises:
            UnavailableError: one does not come; it is named.
        """
        if self._group is not None:
            with _reached(what):
                torch.distributed.monitored_barrier(self._group, _MEETING, wait_all_ranks=True)

    def shared(self, value: Any) -> Any:
        """What the first rank has; JSON.

        Raises:
            UnavailableError: a rank is gone.
        """
        if self._group is None:
            return value
        data = _packed(value if self.is_first else None)
        size = torch.tensor([data.numel()])
        with _reached("go on"):
            torch.distributed.broadcast(size, 0, group=self._group)
            room = data if self.is_first else torch.empty(int(size), dtype=torch.uint8)
            torch.distributed.broadcast(room, 0, group=self._group)
        return _unpacked(room)

    def gathered(self, value: Any) -> list[Any]:
        """What each rank has, in their order; JSON, and small.

        Raises:
            UnavailableError: a rank is gone.
        """
        if self._group is None:
            return [value]
        with _reached("go on"):
            padded, sizes = self._padded(_packed(value))
            found = self._all(padded)
        return [_unpacked(one[:size]) for one, size in zip(found, sizes, strict=True)]

    def gathered_by_first(self, value: Any) -> list[Any]:
        """The same for the first rank alone, however large; empty for the others."""
        if self._group is None:
            return [value]
        with _reached("go on"):
            padded, sizes = self._padded(_packed(value))
            found = [torch.empty_like(padded) for _ in sizes] if self.is_first else None
            torch.distributed.gather(padded, found, 0, group=self._group)
        return [_unpacked(one[:size]) for one, size in zip(found or [], sizes, strict=False)]

    def most(self, numbers: Tensor) -> Tensor:
        """The largest that any rank has, place by place; on the CPU.

        Raises:
            UnavailableError: a rank is gone.
        """
        if self._group is not None:
            with _reached("go on"):
                operation = torch.distributed.ReduceOp.MAX
                torch.distributed.all_reduce(numbers, operation, group=self._group)
        return numbers

    def _padded(self, data: Tensor) -> tuple[Tensor, list[int]]:
        """As long as the longest, and how long each rank's is."""
        sizes = [int(size) for size in self._all(torch.tensor([data.numel()]))]
        room = torch.zeros(max(sizes), dtype=torch.uint8)
        room[: data.numel()] = data
        return room, sizes

    def _all(self, own: Tensor) -> list[Tensor]:
        found = [torch.empty_like(own) for _ in range(self.size)]
        torch.distributed.all_gather(found, own, group=self._group)
        return found


def _packed(value: Any) -> Tensor:
    return torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)


def _unpacked(data: Tensor) -> Any:
    return json.loads(data.numpy().tobytes())


def _error(rank: int, kind: str, said: str) -> CairnError:
    """The error of another rank, as this one raises it."""
    text = f"rank {rank}: {said}"
    if kind == InexactError.__name__:
        return InexactError(text, (text,))
    made: CairnError = getattr(errors, kind)(text) if kind in _SAID else IntegrityError(text)
    return made


@contextmanager
def _reached(what: str) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # of gloo: a connection closed, a time that is over
        raise UnavailableError(
            f"not every rank came to {what}: {str(error)[:300]}; every rank has to save and to"
            " resume; what was saved before is unharmed"
        ) from error


def new_ranks() -> Ranks:
    """The processes of torch's process group, with a group of their own; all have to call this."""
    if not _is_ready():
        return Ranks()
    return Ranks(torch.distributed.new_group(backend="gloo", timeout=_WAIT))


def ranks() -> Ranks:
    """The same, made once for each process group of torch: for one thread alone."""
    return _ranks(torch.distributed.group.WORLD) if _is_ready() else Ranks()


@lru_cache(1)
def _ranks(world: object) -> Ranks:
    del world  # what the answer holds for
    return new_ranks()


def _is_ready() -> bool:
    distributed = torch.distributed
    ready = distributed.is_available() and distributed.is_initialized()
    return ready and distributed.get_world_size() > 1
