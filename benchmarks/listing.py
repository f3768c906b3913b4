"""What it takes to see what is in a big checkpoint, against the frameworks' own loading.

    python benchmarks/listing.py [--gb 10] [--rounds 5] [--folder DIR]

Files are sparse: real headers, holes for tensors. Every figure is a whole process, imports
included; rounds are interleaved and the best counts. 1 GB is 10^9 bytes, memory is the peak of
resident memory.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import machine
from sparse_checkpoints import MAKERS

CAIRN = str(Path(sys.executable).parent / "cairn")
LIST = (
    "import sys; from cairn.formats import FileSource, read_layout;"
    "s = FileSource(sys.argv[1]); print(len(read_layout(s).tensors))"
)
FRAMEWORK = {
    "safetensors": (
        "import sys; from safetensors.torch import load_file; print(len(load_file(sys.argv[1])))"
    ),
    "torch zip": (
        "import sys, torch;"
        "print(len(torch.load(sys.argv[1], mmap=True, map_location='cpu', weights_only=True)))"
    ),
}


# A child's peak counts what its parent held when it was started, so a small process starts it.
STARTER = (
    "import resource, subprocess, sys, time;"
    "began = time.perf_counter();"
    "subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True);"
    "wall = time.perf_counter() - began;"
    "used = resource.getrusage(resource.RUSAGE_CHILDREN);"
    "print(wall, used.ru_maxrss * 1024)"
)


def run(command: list[str]) -> tuple[float, int]:
    """Wall seconds and peak resident bytes of a process that succeeds."""
    started = [sys.executable, "-S", "-c", STARTER, *command]
    told = subprocess.run(started, capture_output=True, text=True, check=True).stdout.split()
    return float(told[0]), int(told[1])


def measure(path: Path, name: str, rounds: int) -> dict[str, tuple[float, int]]:
    contenders = {
        "cairn inspect": [CAIRN, "inspect", str(path)],
        "read_layout": [sys.executable, "-c", LIST, str(path)],
    }
    if name in FRAMEWORK:
        contenders["framework"] = [sys.executable, "-c", FRAMEWORK[name], str(path)]
    best: dict[str, tuple[float, int]] = {}
    for _ in range(rounds):
        for label, command in contenders.items():
            seconds, peak = run(command)
            old = best.get(label, (float("inf"), 0))
            best[label] = (min(seconds, old[0]), max(peak, old[1]))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gb", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the files go (default: temporary)")
    wanted = parser.parse_args()
    print(f"{machine.describe()}, load {os.getloadavg()[0]:.1f}; {wanted.gb:g} GB each\n")
    print("| format | cairn inspect | peak MB | read_layout | framework loads | ratio |")
    print("|---|---|---|---|---|---|")
    for name, make in MAKERS.items():
        with tempfile.TemporaryDirectory(dir=wanted.folder) as folder:
            path = make(Path(folder), int(wanted.gb * 1e9))
            best = measure(path, name, wanted.rounds)
        own, peak = best["cairn inspect"]
        listed = best["read_layout"][0]
        loads = best["framework"][0] if "framework" in best else None
        print(
            f"| {name} | {own:.2f} s | {peak / 1e6:.0f} | {listed:.2f} s |"
            f" {f'{loads:.2f} s' if loads else ''} | {f'{loads / listed:.1f}x' if loads else ''} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
