"""The most memory this process has had resident."""

import resource
import sys
from pathlib import Path


def peak_resident_bytes() -> int:
    """Since the program began, in bytes.

    On Linux `VmHWM` of /proc/self/status (proc_pid_status(5)): `ru_maxrss` of getrusage(2) also
    counts what the process that was forked for this one had before the program was loaded.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else 1024 * used
