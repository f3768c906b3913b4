"""What a process had resident is its own, not that of the one it was forked from."""

import subprocess
import sys

import pytest

CHILD = (
    "from cairn.training.exact.resident import peak_resident_bytes; print(peak_resident_bytes())"
)
PARENT = f"""
import os, sys
held = bytearray(b"x" * 10**9)
if not os.fork():
    os.execv(sys.executable, [sys.executable, "-c", {CHILD!r}])
os.wait()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere getrusage(2) says it")
def test_what_the_parent_held_is_not_counted() -> None:
    told = subprocess.run([sys.executable, "-c", PARENT], capture_output=True, text=True)
    assert 10**6 < int(told.stdout) < 8 * 10**8
