"""A series of training saves whose newest is kept fast: what it takes, and how fast each reads.

    python benchmarks/hot.py [--saves 10] [--steps 10] [--folder DIR]

MiniLM's first three layers and 8,192 of its words are trained; every save lands in three stores:
one that keeps all small, one that keeps the newest fast and makes it small when the next lands, as
a hub does, and one that keeps all fast. Speeds are plain bytes per second of CPU, all threads
counted, the best of three reads. 1 MB is 10^6 bytes.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import corpus_training
import machine
from safetensors.torch import save_file

from cairn.domain import Digest, Layout
from cairn.formats import FileSource, read_layout
from cairn.store import FAST, SMALL, BlobStore, Profile, open_local_store

SCALE = replace(corpus_training.SMALL, layers=3, vocabulary=8192)
CHUNK = 1 << 20


def saves(folder: Path, count: int, steps: int) -> Iterator[Path]:
    """The files of a training, one after the other."""
    model = corpus_training.encoder(SCALE)
    optimizer = corpus_training.adamw(model, 5e-5)
    training = corpus_training.Contrastive(SCALE, seed=1)
    for number in range(count):
        path = folder / f"step-{number}.safetensors"
        save_file({name: w.contiguous() for name, w in model.state_dict().items()}, path)
        yield path
        training.run(model, optimizer, steps)


def layout_of(path: Path) -> Layout:
    """The tensors of a file."""
    with FileSource(path) as source:
        return read_layout(source)


class Contender:
    """A store that keeps what lands in one profile, and in another what is no longer the newest."""

    def __init__(self, name: str, folder: Path, newest: Profile, older: Profile) -> None:
        self.name = name
        self._folder = folder
        self._newest, self._older = newest, older
        self._store = open_local_store(folder)
        self._kept: list[tuple[Digest, Layout]] = []
        self._cpu_s = 0.0

    def add(self, path: Path) -> None:
        """Put a save, rewrite it, and remake the one before."""
        with path.open("rb") as file:
            blob = self._store.put(iter(lambda: file.read(CHUNK), b""))
        layout = layout_of(path)
        began_s = time.process_time()
        self._store.optimize(blob.digest, layout, profile=self._newest)
        if self._kept and self._newest is not self._older:
            self._store.remake(*self._kept[-1], profile=self._older)
        self._cpu_s += time.process_time() - began_s
        self._kept.append((blob.digest, layout))

    def row(self) -> str:
        """What the whole series takes, and how its newest save and its second half read."""
        digests = [digest for digest, _ in self._kept]
        self._store.collect(lambda: digests, 0)
        shares = self._store.take_stock().shares({"newest": digests[-1:], "all": digests})
        middle = digests[len(digests) // 2 : -1]
        old_mbs = sorted(_read_mbs(self._folder, digest) for digest in middle)
        plain = shares["all"].logical_bytes
        cells = (
            self.name,
            f"{shares['all'].stored_bytes / 1e6:.1f}",
            f"{shares['all'].stored_bytes / plain:.3f}",
            f"{shares['newest'].amplification:.1f}",
            f"{_read_mbs(self._folder, digests[-1]):.0f}",
            f"{old_mbs[len(old_mbs) // 2]:.0f}",
            f"{self._cpu_s / (plain / 1e9):.1f}",
        )
        return f"| {' | '.join(cells)} |"


def _read_mbs(folder: Path, digest: Digest) -> float:
    return max(_read_once_mbs(open_local_store(folder), digest) for _ in range(3))


def _read_once_mbs(store: BlobStore, digest: Digest) -> float:
    began_s = time.process_time()
    with store.open(digest) as reader:
        size = sum(len(block) for block in reader.stream())
    return size / 1e6 / (time.process_time() - began_s)


def main() -> None:
    """Train, keep, and print a row for each store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--saves", type=int, default=10)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--folder", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as scratch:
        root = Path(scratch)
        contenders = [
            Contender("all small", root / "small", SMALL, SMALL),
            Contender("newest fast", root / "hot", FAST, SMALL),
            Contender("all fast", root / "fast", FAST, FAST),
        ]
        for path in saves(root, args.saves, args.steps):
            for contender in contenders:
                contender.add(path)
            size = path.stat().st_size
        print(f"{args.saves} saves of {size / 1e6:.1f} MB\n\n{machine.describe()}\n")
        print("| | stored MB | share | decoded / read | newest MB/s | older MB/s | CPU s/GB |")
        print("|---|---|---|---|---|---|---|")
        for contender in contenders:
            print(contender.row())


if __name__ == "__main__":
    main()
