"""What it takes to look at every value of a checkpoint, against copying the same bytes.

    python benchmarks/analysis.py [--mb 512] [--rounds 7] [--folder DIR]

Every ratio comes from interleaved rounds of one run: each round does each contender once, and
the best round counts. 1 GB is 10^9 bytes of tensor data, counted once also where they are
copied. CPU time is what "per core" means here: it does not count what other processes take away.
The first call is told apart: it loads the compiled loops, or compiles them.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import machine
import ml_dtypes
import numpy as np
import safetensors.numpy

from cairn.analysis.statistics import BLOCK_BYTES, measure
from cairn.domain import DType, Span, TensorInfo
from cairn.workflows.health import measure_tensors
from cairn.workflows.inspect import read_path

KINDS = {DType.F32: np.float32, DType.BF16: ml_dtypes.bfloat16, DType.F16: np.float16}
TENSORS = 8  # so that two threads share them


def best_of(
    rounds: int, contenders: dict[str, Callable[[], object]]
) -> dict[str, tuple[float, float]]:
    """Best CPU and wall seconds of each, done in turn; CPU counts all threads."""
    best = dict.fromkeys(contenders, (float("inf"), float("inf")))
    for _ in range(rounds):
        for name, work in contenders.items():
            cpu, wall = time.process_time(), time.perf_counter()
            work()
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            best[name] = (min(best[name][0], cpu), min(best[name][1], wall))
    return best


def in_blocks(raw: np.ndarray) -> Iterator[memoryview]:
    for start in range(0, raw.size, BLOCK_BYTES):
        yield raw[start : start + BLOCK_BYTES].data


def statistics(dtype: DType, size_bytes: int, rounds: int, folder: str) -> None:
    """Rows of the table for one type: values like those of trained weights."""
    elements = size_bytes // dtype.block_bytes // TENSORS // 1024 * 1024
    weights = np.random.default_rng(0).normal(0, 0.02, elements).astype(np.float32)
    array = weights.astype(KINDS[dtype]).reshape(1024, -1)
    raw = array.view(np.uint8).reshape(-1)
    raw.flags.writeable = False  # as bytes read from a file are
    tensor = TensorInfo("w", dtype, array.shape, Span(0, raw.size))
    target = np.empty_like(raw)
    path = Path(folder) / f"{dtype.label}.safetensors"
    safetensors.numpy.save_file({f"w{at}": array for at in range(TENSORS)}, path)
    readable = read_path(path)

    def from_file(threads: int) -> None:
        for health in measure_tensors(readable, readable.checkpoint.tensors(), threads=threads):
            assert health.statistics is not None

    def in_memory() -> None:
        for _ in range(TENSORS):
            measure(tensor, in_blocks(raw), max_rank_side=0)

    def copy() -> None:
        for _ in range(TENSORS):
            np.copyto(target, raw)

    began = time.perf_counter()
    measure(tensor, in_blocks(raw))
    compiled = time.perf_counter() - began
    best = best_of(
        rounds,
        {
            "np.copyto": copy,
            "statistics, in memory": in_memory,
            "statistics of a file, 1 thread": lambda: from_file(1),
            "statistics of a file, 2 threads": lambda: from_file(2),
        },
    )
    size_gb = TENSORS * raw.size / 1e9
    for name, (cpu, wall) in best.items():
        ratio = best["np.copyto"][0] / cpu
        print(
            f"| {dtype.label} | {name} | {cpu / size_gb:.3f} | {ratio:.2f} | {size_gb / wall:.2f} |"
        )
    print(f"| {dtype.label} | first call | {compiled:.2f} s in all | | |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mb", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="where files go (default: temporary)")
    wanted = parser.parse_args()
    print(f"{machine.describe()}, load {os.getloadavg()[0]:.1f}; {wanted.mb} MB of tensors\n")
    with tempfile.TemporaryDirectory(dir=wanted.folder) as folder:
        print("| type | contender | CPU s/GB | copy's CPU / this CPU | best GB/s |")
        print("|---|---|---|---|---|")
        for dtype in KINDS:
            statistics(dtype, wanted.mb * 1_000_000, wanted.rounds, folder)


if __name__ == "__main__":
    main()
