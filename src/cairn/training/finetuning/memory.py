"""Memory of a device: how much is free, and what to do where it ends."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from cairn.domain.finetuning import FineTuning, lighter
from cairn.errors import RequestError

_MEMORY, _OWN = Path("/proc/meminfo"), Path("/proc/self/statm")
# Of control groups, version 2: https://docs.kernel.org/admin-guide/cgroup-v2.html#memory
_MOST, _TAKEN = (Path("/sys/fs/cgroup") / name for name in ("memory.max", "memory.current"))
# What torch's allocator of the CPU says (c10/core/impl/alloc_cpu.cpp): a plain RuntimeError.
_ENDED_ON_CPU = ("DefaultCPUAllocator", "alloc_cpu")


def free_bytes(device: torch.device) -> int:
    """How many bytes may still be taken there without swapping."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        taken = torch.mps.driver_allocated_memory()
        return int(torch.mps.recommended_max_memory() - taken)
    return max(0, min(_machine(), _group(), _process()))


def _machine() -> int:
    """What the kernel could give without swapping; where it does not say, half of all."""
    try:
        lines = _MEMORY.read_text("ascii").splitlines()
    except OSError:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    said = dict(line.split(":", 1) for line in lines)
    return int(said["MemAvailable"].split()[0]) * 1024


def _group() -> int:
    """What a container may take."""
    try:
        return int(_MOST.read_text()) - int(_TAKEN.read_text())
    except (OSError, ValueError):  # no such group, or "max"
        return _machine()


def _process() -> int:
    """What `ulimit -v` leaves."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY or not _OWN.exists():
        return _machine()
    return limit - int(_OWN.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def has_run_out(error: BaseException) -> bool:
    """Whether an error says that the memory of a device or of this machine has ended."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in _ENDED_ON_CPU)


@contextmanager
def enough_memory(recipe: FineTuning, device: torch.device) -> Iterator[None]:
    """Say what would take less where the memory of a device ends.

    Raises:
        RequestError: it does.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not has_run_out(error):
            raise
        notes = "".join(f"; {note}" for note in getattr(error, "__notes__", ()))
        raise RequestError(
            f"{device} has too little memory for this{notes}. Try {', '.join(lighter(recipe))},"
            " with another --out; `cairn estimate` says what a training takes"
        ) from error
