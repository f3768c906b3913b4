"""What the bits of a training run depend on beside its state, and how two such records differ.

Another number of threads or another instruction set changes the order of additions, and with it
the last bits of a loss; so may another release of a library. Source of the flags:
https://docs.pytorch.org/docs/stable/notes/randomness.html.
"""

import os
import platform
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

import cairn
from cairn.domain.runs import Setting
from cairn.provenance.machine import LIBRARIES, library_version, processor, system

# Environment variables that choose other kernels or another order of values.
_VARIABLES = (
    *("CUBLAS_WORKSPACE_CONFIG", "DNNL_MAX_CPU_ISA", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS"),
    *("NVIDIA_TF32_OVERRIDE", "ONEDNN_MAX_CPU_ISA", "OPENBLAS_CORETYPE", "PYTHONHASHSEED"),
)


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that was otherwise when a checkpoint was saved: its name, then and now."""

    name: str
    was: Setting
    now: Setting

    def __str__(self) -> str:
        return f"{self.name} was {self.was!r} and is {self.now!r}"


def environment(
    code: str | None, data_digest: str | None, device: str | None = None
) -> dict[str, Setting]:
    """The record of this process; `code` is the revision of its source, as far as known.

    `device` is the kind that its models are on: another kind rounds otherwise, and may compute in
    another type.
    """
    return dict(
        (
            *_versions(),
            *_machine(),
            (_DEVICE, device),
            *_flags(),
            *((f"variable_{name}", os.environ.get(name)) for name in _VARIABLES),
            ("processes", _processes()),
            ("code", code),
            ("data_digest", data_digest),
        )
    )


def differences(was: Mapping[str, Setting], now: Mapping[str, Setting]) -> tuple[Difference, ...]:
    """What differs, in the order of the older record; what only one of them knows counts.

    Libraries are imported at one time or another: of those that the older record names, the
    installed releases are compared.
    """
    current = {**now, **{name: library_version(name) for name in LIBRARIES if name in was}}
    later = {name for name in LIBRARIES if name not in was}  # the run did without
    later |= {_DEVICE} - set(was)  # an older Cairn did not note it
    return tuple(
        Difference(name, was.get(name), current.get(name))
        for name in dict.fromkeys((*was, *current))
        if name not in (_OWN, *later) and was.get(name) != current.get(name)
    )


_OWN, _DEVICE = "cairn", "device"


def _versions() -> Iterator[tuple[str, Setting]]:
    yield "python", platform.python_version()
    yield _OWN, cairn.__version__
    yield "torch", str(torch.__version__)
    yield "numpy", np.__version__
    yield "cuda", torch.version.cuda
    yield "cudnn", torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    for name in LIBRARIES:
        if name in sys.modules:
            yield name, library_version(name)


def _machine() -> Iterator[tuple[str, Setting]]:
    yield "platform", system()
    yield "cpu", processor()
    yield "cpu_capability", torch.backends.cpu.get_cpu_capability()
    yield "threads", torch.get_num_threads()
    yield "devices", ", ".join(_devices())


def _devices() -> Iterator[str]:
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            yield torch.cuda.get_device_name(number)
    if torch.backends.mps.is_available():
        yield "mps"


def _flags() -> Iterator[tuple[str, Setting]]:
    yield "deterministic_algorithms", torch.are_deterministic_algorithms_enabled()
    yield "default_dtype", str(torch.get_default_dtype())
    yield "matmul_precision", torch.get_float32_matmul_precision()
    yield "onednn", bool(torch.backends.mkldnn.enabled)
    yield "cudnn_deterministic", torch.backends.cudnn.deterministic
    yield "cudnn_benchmark", torch.backends.cudnn.benchmark
    yield "cudnn_tf32", torch.backends.cudnn.allow_tf32
    yield "flash_attention", torch.backends.cuda.flash_sdp_enabled()  # type: ignore[no-untyped-call]


def _processes() -> int:
    """How many processes train together; a checkpoint has the random states of one."""
    ready = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if ready else 1


def is_first_process() -> bool:
    """Whether this process is the one of its group that writes what all have in common."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank() == 0
    return os.environ.get("RANK", "0") == "0"  # as launchers say it, before the group is made
