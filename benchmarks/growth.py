"""Whether the store's costs grow in proportion: long series of small checkpoints, many gigabytes.

    python benchmarks/growth.py [--series 10,100,1000] [--gb 1,2,4,8] [--folder DIR]

Each case runs in a process of its own, in an empty store: put and optimize every checkpoint, then
read the last one back. A series is one training; the gigabytes are families of a bf16 base and
three fine-tunes, 250 MB each. "First" and "last" are the mean seconds per checkpoint of the first
and the last tenth (at least one); CPU counts all threads; memory is the peak of the process, the
checkpoints being made in another one.
"""

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import machine
import numpy as np
import numpy.typing as npt

from cairn.domain import Digest
from cairn.formats import FileSource, read_layout
from cairn.store import BlobStore, open_local_store

CHUNK = 1 << 20
ROWS = 128
TENSORS = 8  # of a checkpoint of a series: 512 KiB
FAMILY = 4
FAMILY_ROWS, FAMILY_TENSORS = 2048, 30  # 250 MB
STEP = 1e-3  # what a fine-tune changes, beside weights of size 1

Tensors = dict[str, npt.NDArray[np.float32]]


def write(path: Path, tensors: Tensors, dtype: str) -> None:
    """A safetensors file; "BF16" cuts the lower halves off."""
    header, at, bodies = {}, 0, []
    for name, values in tensors.items():
        bits = values.view(np.uint32)
        body = bits if dtype == "F32" else (bits >> 16).astype(np.uint16)
        header[name] = {
            "dtype": dtype, "shape": list(values.shape), "data_offsets": [at, at + body.nbytes]
        }  # fmt: skip
        at += body.nbytes
        bodies.append(body)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for body in bodies:
            file.write(body.data)


def drawn(rng: np.random.Generator, rows: int, count: int, scale: float = 1.0) -> Tensors:
    """Square matrices of normal numbers."""
    step = np.float32(scale)
    return {
        f"layers.{n}.weight": rng.standard_normal((rows, rows), dtype=np.float32) * step
        for n in range(count)
    }


def series(folder: Path, count: int) -> Iterator[Path]:
    """The saves of a training: each is the one before and a small step."""
    rng, path = np.random.default_rng(0), folder / "save.safetensors"
    weights = drawn(rng, ROWS, TENSORS)
    for _ in range(count):
        write(path, weights, "F32")
        yield path
        for name, step in drawn(rng, ROWS, TENSORS, STEP).items():
            weights[name] += step


def families(folder: Path, count: int) -> Iterator[Path]:
    """Bases and fine-tunes of them."""
    rng, path = np.random.default_rng(0), folder / "model.safetensors"
    for number in range(count):
        if number % FAMILY == 0:
            base = drawn(rng, FAMILY_ROWS, FAMILY_TENSORS)
            write(path, base, "BF16")
        else:
            tuned = {}
            for name, weights in base.items():
                (step,) = drawn(rng, FAMILY_ROWS, 1, STEP).values()
                tuned[name] = weights + step
            write(path, tuned, "BF16")
        yield path


def made_elsewhere(
    paths: Callable[[Path, int], Iterator[Path]], folder: Path, count: int
) -> Iterator[Path]:
    """The same paths, each file written by another process when it is asked for."""
    spawning = multiprocessing.get_context("spawn")
    ours, its = spawning.Pipe()
    maker = spawning.Process(target=make, args=(its, paths, folder, count))
    maker.start()
    its.close()
    for _ in range(count):
        ours.send_bytes(b"next")
        yield ours.recv()
    maker.join()


def make(
    orders: Connection, paths: Callable[[Path, int], Iterator[Path]], folder: Path, count: int
) -> None:
    """Write a checkpoint for each order."""
    making = paths(folder, count)
    for _ in range(count):
        orders.recv_bytes()
        orders.send(next(making))


@dataclass(frozen=True, slots=True)
class Cost:
    """What one case took."""

    plain: int
    stored: int
    seconds: tuple[float, ...]  # per checkpoint, put and optimize
    cpu: float
    read_seconds: float  # the last checkpoint
    peak_bytes: int

    def row(self, label: str) -> str:
        tenth = max(1, len(self.seconds) // 10)
        first, last = (sum(part) / tenth for part in (self.seconds[:tenth], self.seconds[-tenth:]))
        return (
            f"| {label} | {self.plain / 1e6:.0f} | {self.stored / self.plain:.3f}"
            f" | {sum(self.seconds):.1f} | {self.cpu / self.plain * 1e9:.1f}"
            f" | {first:.3f} | {last:.3f} | {self.read_seconds:.3f} | {self.peak_bytes / 1e6:.0f} |"
        )


def keep(store: BlobStore, path: Path) -> Digest:
    """Put a file and optimize it."""
    with path.open("rb", buffering=0) as file:
        blob = store.put(iter(lambda: file.read(CHUNK), b""))
    with FileSource(path) as source:
        layout = read_layout(source)
    store.optimize(blob.digest, layout)
    return blob.digest


def measure(paths: Callable[[Path, int], Iterator[Path]], count: int, folder: Path) -> Cost:
    """Run a case in this process; the first two checkpoints of another one are a warm-up."""
    (folder / "warm").mkdir(parents=True)
    warm = open_local_store(folder / "warm-store")
    for path in series(folder / "warm", 2):
        keep(warm, path)
    store = open_local_store(folder / "store")
    plain, cpu, seconds = 0, 0.0, []
    for path in made_elsewhere(paths, folder, count):
        plain += path.stat().st_size
        began, used = time.perf_counter(), time.process_time()
        digest = keep(store, path)
        seconds.append(time.perf_counter() - began)
        cpu += time.process_time() - used
    began = time.perf_counter()
    with store.open(digest) as reader:
        for _ in reader.stream():
            pass
    read = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Cost(plain, store.stats().stored_bytes, tuple(seconds), cpu, read, peak)


def table(
    title: str, paths: Callable[[Path, int], Iterator[Path]], cases: dict[str, int], folder: Path
) -> None:
    """A row per case."""
    print(
        f"\n### {title}\n\n| | plain MB | share | seconds | CPU s/GB | first | last | read |"
        " peak MB |\n|---|---|---|---|---|---|---|---|---|"
    )
    for label, count in cases.items():
        with (
            tempfile.TemporaryDirectory(dir=folder) as name,
            ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool,
        ):
            cost = pool.submit(measure, paths, count, Path(name)).result()
        print(cost.row(label), flush=True)


def main() -> None:
    """Both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", default="10,100,1000")
    parser.add_argument("--gb", default="1,2,4,8")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    print(f"# Growth\n\n{machine.describe()}")
    saves = {f"{n} saves": int(n) for n in options.series.split(",") if n}
    sizes = {f"{n} GB": int(n) * FAMILY for n in options.gb.split(",") if n}
    table("Series of small checkpoints", series, saves, options.folder)
    table("Families of 250 MB checkpoints", families, sizes, options.folder)


if __name__ == "__main__":
    main()
