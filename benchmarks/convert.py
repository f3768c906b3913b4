"""Convert against a plain copy of the same bytes, and against doing it with torch.

    python benchmarks/convert.py [--gb 1] [--rounds 5] [--folder DIR]

Every ratio comes from interleaved rounds of one run: each round does each contender once, and
the best round counts. Copy and convert both end with fsync; in a folder on tmpfs (`/dev/shm`)
that costs nothing and the work itself is compared. 1 GB is 10^9 bytes.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import machine
import safetensors.torch
import torch

from cairn.workflows.convert import Choice, plan, write
from cairn.workflows.inspect import read_path

HIDDEN = 2048  # rows and columns of the large matrices; each has a bias beside it


def state_dict(size_bytes: int, *, turned: bool) -> dict[str, torch.Tensor]:
    """Layers of a matrix and a bias; `turned` matrices are stored transposed."""
    state: dict[str, torch.Tensor] = {}
    for layer in range(size_bytes // (HIDDEN * HIDDEN * 4)):
        matrix = torch.full((HIDDEN, HIDDEN), 0.01 * layer)
        state[f"layers.{layer}.weight"] = matrix.t() if turned else matrix
        state[f"layers.{layer}.bias"] = torch.ones(HIDDEN)
    return state


def copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    descriptor = os.open(target, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def convert(source: Path, target: Path) -> None:
    found = read_path(source)
    write(plan(found, target.name, Choice(), source.name), found.files, target.parent)


def with_torch(source: Path, target: Path) -> None:
    state = torch.load(source, mmap=True)
    safetensors.torch.save_file({k: v.contiguous() for k, v in state.items()}, target)


CONTENDERS: dict[str, Callable[[Path, Path], None]] = {
    "shutil.copyfile, fsync": copy,
    "cairn convert (fsync, header read back)": convert,
    "torch.load(mmap), save_file; no fsync": with_torch,
}


def measure(source: Path, rounds: int) -> None:
    size = source.stat().st_size
    best: dict[str, float] = {}
    for _ in range(rounds):
        for name, work in CONTENDERS.items():
            target = source.with_name("out.safetensors")
            began = time.perf_counter()
            work(source, target)
            took = time.perf_counter() - began
            best[name] = min(took, best.get(name, took))
            target.unlink()
    base = best["shutil.copyfile, fsync"]
    print(f"\n### {source.stem}: {size / 1e9:.2f} GB\n")
    print("| contender | best s | MB/s | speed against copyfile |\n|---|---|---|---|")
    for name, took in best.items():
        print(f"| {name} | {took:.2f} | {size / took / 1e6:.0f} | {base / took:.2f} |")


def main() -> None:
    """Measure a torch zip of contiguous tensors, and one of transposed ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gb", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        print(f"# Convert\n\n{machine.describe()}; {options.rounds} interleaved rounds.")
        for label in ("contiguous", "transposed"):
            source = Path(name) / f"{label}.pt"
            torch.save(state_dict(int(options.gb * 1e9), turned=label == "transposed"), source)
            measure(source, options.rounds)
            source.unlink()


if __name__ == "__main__":
    main()
