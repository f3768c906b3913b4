"""Names the machine a benchmark ran on: processor, cores, memory, kernel, Python."""

import os
import platform
from pathlib import Path


def describe() -> str:
    """One line for the head of a results table."""
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return (
        f"{_processor()}, {os.cpu_count()} cores, {memory_gb:.0f} GB,"
        f" {platform.system()} {platform.release().split('-')[0]},"
        f" Python {platform.python_version()}"
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        text = info.read_text()
        name = next((x.split(":")[1].strip() for x in text.splitlines() if "model name" in x), "")
        flags = next((x for x in text.splitlines() if x.startswith("flags")), "").split()
        known = [f for f in ("sha_ni", "avx2", "avx512f") if f in flags]
        return f"{name} ({', '.join(known)})" if known else name
    return platform.processor() or platform.machine()
