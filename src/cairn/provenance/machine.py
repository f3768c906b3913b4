"""What this machine is and which libraries it has, as far as numbers depend on that."""

import platform
from functools import cache
from importlib import metadata
from pathlib import Path

LIBRARIES = (
    *("accelerate", "bitsandbytes", "diffusers", "flash_attn", "gymnasium", "lightning", "peft"),
    *("stable_baselines3", "timm", "torchaudio", "torchvision", "transformers", "triton"),
)
"""Libraries whose releases change numbers; a run records those that its process has imported."""


@cache
def library_version(library: str) -> str | None:
    """The release that is installed, imported already or not."""
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


def system() -> str:
    """Operating system and sort of machine: `Linux x86_64`."""
    return f"{platform.system()} {platform.machine()}"


@cache
def processor() -> str:
    """The model of the processor: libraries choose block sizes by it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor())
