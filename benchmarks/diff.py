"""What it takes to compare two checkpoints, against reading both files.

    python benchmarks/diff.py [--gb 1] [--rounds 5] [--folder DIR]

Interleaved rounds of one run, the best of each counts; files are in the page cache. 1 GB is
10^9 bytes. The first comparison, which loads or compiles the loops, is told apart. Memory is the
peak of resident memory of the whole process, files mapped by nobody.
"""

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import machine
import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

from cairn.workflows.diff import compare, pairing_of
from cairn.workflows.diff_summary import summary
from cairn.workflows.inspect import read_path

KINDS = {"F32": np.dtype(np.float32), "BF16": np.dtype(ml_dtypes.bfloat16)}
WIDTH = 2048
CHUNK = 1 << 20


def state(kind: np.dtype, size: int, seed: int) -> dict[str, np.ndarray]:
    """Square matrices as in a transformer, `size` bytes in all."""
    rng = np.random.default_rng(seed)
    count = max(1, size // (WIDTH * WIDTH * kind.itemsize))
    values = rng.standard_normal((WIDTH, WIDTH), np.float32) * 0.02
    names = [f"model.layers.{n // 4}.self_attn.{'qkvo'[n % 4]}_proj.weight" for n in range(count)]
    return {name: np.roll(values, n, axis=0).astype(kind) for n, name in enumerate(names)}


def changed(before: dict[str, np.ndarray], what: str) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(7)
    noise = rng.standard_normal((WIDTH, WIDTH), np.float32) * 0.001
    thin = rng.standard_normal((WIDTH, 8), np.float32), rng.standard_normal((8, WIDTH), np.float32)
    merged = thin[0] @ thin[1] * 0.0005
    after = {}
    for n, (name, value) in enumerate(before.items()):
        if what == "half equal" and n % 2:
            after[name] = value
        else:
            update = merged if what == "merged LoRA" else noise
            after[name] = (value.astype(np.float32) + update).astype(value.dtype)
    return after


def read_both(*paths: Path) -> None:
    for path in paths:
        with path.open("rb", buffering=0) as file:
            while file.read(CHUNK):
                pass


def diff(before: Path, after: Path) -> str:
    left, right = read_path(before), read_path(after)
    return summary(compare(left, right, pairing_of(left, right)))[0]


def best_of(rounds: int, *works: Callable[[], object]) -> list[tuple[float, float]]:
    best = [(float("inf"), float("inf"))] * len(works)
    for _ in range(rounds):
        for at, work in enumerate(works):
            cpu, wall = time.process_time(), time.perf_counter()
            work()
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            best[at] = (min(best[at][0], cpu), min(best[at][1], wall))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gb", type=float, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the files go (default: temporary)")
    wanted = parser.parse_args()
    print(f"{machine.describe()}, load {os.getloadavg()[0]:.1f}; twice {wanted.gb:g} GB\n")
    print(
        "| dtype | change | read both s (CPU) | diff s (CPU) | wall ratio | CPU ratio | first s |"
    )
    print("|---|---|---|---|---|---|---|")
    for label, kind in KINDS.items():
        for what in ("fine-tune", "half equal", "merged LoRA"):
            with tempfile.TemporaryDirectory(dir=wanted.folder) as folder:
                a, b = Path(folder, "a.safetensors"), Path(folder, "b.safetensors")
                before = state(kind, int(wanted.gb * 1e9), 0)
                save_file(before, a)
                save_file(changed(before, what), b)
                del before
                began = time.perf_counter()
                said = diff(a, b)
                first = time.perf_counter() - began
                read, own = best_of(
                    wanted.rounds, lambda a=a, b=b: read_both(a, b), lambda a=a, b=b: diff(a, b)
                )
            print(
                f"| {label} | {what} | {read[1]:.2f} ({read[0]:.2f}) | {own[1]:.2f} ({own[0]:.2f})"
                f" | {own[1] / read[1]:.2f} | {own[0] / read[0]:.2f} | {first:.1f} |",
                flush=True,
            )
            print(f"<!-- {said} -->", file=sys.stderr)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"\nPeak memory with the making of the files: {peak / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
