"""What a scanning process gives up before it reads the first byte of a file.

What the machine does not offer is not held; the process says which limits are.
"""

import ctypes
import resource
import sys

from cairn.scanner.confined.system_calls import allow_only_reading

MEMORY_BYTES = 1 << 30
_OPEN_FILES = 32
_NEW_NETWORK, _NEW_USER = 0x40000000, 0x10000000  # CLONE_NEWNET, CLONE_NEWUSER of unshare(2)


def confine() -> list[str]:
    """Give up what can be given up, for good; the names of what is held."""
    held = [
        name
        for name, limit, most in (
            ("memory", resource.RLIMIT_AS, MEMORY_BYTES),
            ("no-file-writes", resource.RLIMIT_FSIZE, 0),
            ("open-files", resource.RLIMIT_NOFILE, _OPEN_FILES),
            ("no-core-dumps", resource.RLIMIT_CORE, 0),
            ("no-processes", resource.RLIMIT_NPROC, 0),
        )
        if _limited(limit, most)
    ]
    if _without_network():
        held.append("no-network")
    if allow_only_reading():
        held.append("system-calls")
    return sorted([*held, "processor-time"])


def allow_cpu(more_s: int) -> None:
    """Let the process compute so many seconds longer; then the kernel ends it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    until = int(used.ru_utime + used.ru_stime) + 1 + more_s
    resource.setrlimit(resource.RLIMIT_CPU, (until, hard))


def _limited(limit: int, most: int) -> bool:
    try:
        resource.setrlimit(limit, (most, most))
    except (OSError, ValueError):  # macOS has no limit on memory
        return False
    return True


def _without_network() -> bool:
    """A network of its own, without any device, where the kernel gives one without privileges."""
    if sys.platform != "linux":
        return False
    unshare = ctypes.CDLL(None, use_errno=True).unshare
    return bool(unshare(_NEW_USER | _NEW_NETWORK) == 0 or unshare(_NEW_NETWORK) == 0)
