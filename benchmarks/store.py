"""The store against its limits: what a blob costs to put, to rewrite, to read, and to keep.

    python benchmarks/store.py [--gb 2] [--rounds 3] [--folder DIR]

Every ratio comes from interleaved rounds of one run: each round does each contender once,
and the best round counts. 1 GB is 10^9 bytes. CPU counts all threads of the process.
"""

import argparse
import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import checkpoints
import machine
import numpy as np
from blake3 import blake3

from cairn.domain import Digest, Layout
from cairn.formats import FileSource, read_layout
from cairn.store import BlobStore, open_local_store
from cairn.store.codecs import CODECS
from cairn.store.cutting import cut
from cairn.store.solo import encode_alone

CHUNK = 1 << 20


def chunks(file: Path) -> Iterator[bytes]:
    """The file in blocks of 1 MiB."""
    with file.open("rb", buffering=0) as opened:
        while chunk := opened.read(CHUNK):
            yield chunk


class Rounds:
    """Best CPU and wall seconds per contender."""

    def __init__(self, size_bytes: int) -> None:
        self.gb = size_bytes / 1e9
        self.best: dict[str, tuple[float, float]] = {}

    def time(self, name: str, work: Callable[[], object]) -> None:
        cpu, wall = time.process_time(), time.perf_counter()
        work()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        old = self.best.get(name, (float("inf"), float("inf")))
        self.best[name] = (min(cpu, old[0]), min(wall, old[1]))

    def print(self, title: str, against: str) -> None:
        base = self.best[against][0]
        print(f"\n### {title}\n\n| contender | CPU s/GB | ratio to {against} | best GB/s |")
        print("|---|---|---|---|")
        for name, (cpu, wall) in self.best.items():
            print(f"| {name} | {cpu / self.gb:.3f} | {cpu / base:.2f} | {self.gb / wall:.2f} |")


def hash_write_sync(file: Path, target: Path) -> None:
    """The least an upload can cost: SHA-256, write, fsync."""
    found = hashlib.sha256()
    with target.open("wb", buffering=0) as out:
        for chunk in chunks(file):
            found.update(chunk)
            out.write(chunk)
        os.fsync(out.fileno())
    target.unlink()


def copy_in_memory(file: Path) -> None:
    target = np.empty(CHUNK, dtype=np.uint8)
    for chunk in chunks(file):
        np.copyto(target[: len(chunk)], np.frombuffer(chunk, dtype=np.uint8))


def encode_only(file: Path, layout: Layout) -> None:
    with FileSource(file) as source:
        for piece in cut(source.size_bytes, layout):
            data = source.read_at(piece.span.start, piece.span.size_bytes)
            encode_alone(data, bytes(32), piece.dtype, CODECS)


def drain(store: BlobStore, digest: Digest) -> None:
    with store.open(digest) as reader:
        for _ in reader.stream():
            pass


def blake3_of(file: Path) -> None:
    """The check of every decoded part, alone."""
    with file.open("rb", buffering=0) as opened:
        while chunk := opened.read(4 << 20):
            blake3(chunk).digest()


def measure(file: Path, folder: Path, rounds: int) -> None:
    """All tables of one file."""
    size = file.stat().st_size
    with FileSource(file) as source:
        layout = read_layout(source)
    putting, rewriting, reading = Rounds(size), Rounds(size), Rounds(size)
    for _ in range(rounds):
        root = folder / "store"
        store = open_local_store(root)
        putting.time("SHA-256 + write + fsync", lambda: hash_write_sync(file, folder / "plain"))
        putting.time("put", lambda store=store: store.put(chunks(file)))
        digest = next(store.pending())
        reading.time("read in blocks of 1 MiB", lambda: [None for _ in chunks(file)])
        reading.time("stream, raw", lambda store=store, d=digest: drain(store, d))
        rewriting.time("read + copy in memory", lambda: copy_in_memory(file))
        rewriting.time("encode only, one thread", lambda: encode_only(file, layout))
        rewriting.time(
            "optimize (encode, write, read back, SHA-256)",
            lambda store=store, d=digest: store.optimize(d, layout),
        )
        reading.time("BLAKE3 of the plain bytes alone", lambda: blake3_of(file))
        reading.time("stream, recipe", lambda store=store, d=digest: drain(store, d))
        kept = store.stats().stored_bytes
        shutil.rmtree(root)
    print(f"\n## {file.name}: {size / 1e9:.2f} GB, kept in {kept / size:.4f} of it")
    putting.print("Put", "SHA-256 + write + fsync")
    rewriting.print("Optimize", "read + copy in memory")
    reading.print("Read", "read in blocks of 1 MiB")


def main() -> None:
    """Measure MiniLM and generated checkpoints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gb", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        print(f"# Store\n\n{machine.describe()}; {options.rounds} interleaved rounds.")
        real = folder / "minilm.safetensors"
        shutil.copy(checkpoints.minilm() / "model.safetensors", real)
        files = [real]
        for dtype in ("BF16", "F32"):
            made = folder / f"generated-{dtype.lower()}.safetensors"
            files.append(checkpoints.generated(made, int(options.gb * 1e9), dtype))
        for file in files:
            measure(file, folder, options.rounds)


if __name__ == "__main__":
    main()
