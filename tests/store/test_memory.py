"""Peak memory of put, optimize and stream does not grow with the file."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MIB = 1 << 20

# Tensors are made a few MiB at a time: the child must not hold the file itself.
SCRIPT = """
import resource, sys
from pathlib import Path
import numpy as np
from cairn.domain import DType, Layout, Span, Storage
from cairn.store import open_local_store

root, size, step = Path(sys.argv[1]), int(sys.argv[2]) << 20, 8 << 20

def chunks():
    for n in range(size // step):
        yield np.random.default_rng(n).standard_normal(step // 4, dtype="f4").tobytes()

store = open_local_store(root)
blob = store.put(chunks())
half = size // 2
layout = Layout("made", size, (), (
    Storage(Span(0, half), DType.F32), Storage(Span(half, size), DType.F32)))
assert store.optimize(blob.digest, layout).rewritten
with store.open(blob.digest) as reader:
    assert sum(map(len, reader.stream())) == size
assert store.verify().bad == ()
status = Path("/proc/self/status")
if status.exists():  # Linux: ru_maxrss would include what pytest held when it forked
    peak = next(int(x.split()[1]) for x in status.read_text().splitlines() if "VmHWM" in x) * 1024
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS
print(peak)
"""


def peak_bytes(root: Path, mib: int) -> int:
    command = [sys.executable, "-c", SCRIPT, str(root), str(mib)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return int(done.stdout)


def test_memory_stays_flat_from_64_to_128_mib(tmp_path: Path) -> None:
    small = peak_bytes(tmp_path / "small", 64)  # less does not fill every buffer
    large = peak_bytes(tmp_path / "large", 128)
    assert large < small + 24 * MIB
    assert large < 270 * MIB  # 220 to 250 on a busy machine


@pytest.mark.slow
def test_memory_stays_flat_from_64_to_512_mib(tmp_path: Path) -> None:
    small = peak_bytes(tmp_path / "small", 64)
    large = peak_bytes(tmp_path / "large", 512)
    assert large < small + 24 * MIB
