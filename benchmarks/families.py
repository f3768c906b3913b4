"""A family of checkpoints in Cairn's store and in others': bytes, speeds, and the limit.

    python benchmarks/families.py --folder DIR [--small] [--only cairn]

The corpus is built in DIR unless it is there (see corpus.py). Every file is put in and read back,
each byte compared with the original; for Cairn, putting in is `put` and `optimize`, which hashes,
writes, syncs, and reads everything back. MB/s are plain bytes by wall time; CPU counts all
threads. Everything is done once with a toy corpus before, so that no compiler is measured.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import corpus
import machine
import numpy as np
from baselines import BASELINES, Contender, NearestZipLLM, XetChunks, ZipLLM
from corpus import GROUPS, Entry
from limits import Limits

from cairn.domain import Digest
from cairn.formats import FileSource, read_layout
from cairn.store import open_local_store

CHUNK = 1 << 20
Result = TypeVar("Result")


class Cairn(Contender):
    """Cairn's store: every file optimized as soon as it is in."""

    name = "Cairn"

    def __init__(self, folder: Path) -> None:
        self._store = open_local_store(folder / "cairn")
        self._digests: dict[str, Digest] = {}

    @property
    def stored_bytes(self) -> int:
        return self._store.stats().stored_bytes

    def add(self, path: Path, entry: Entry) -> None:
        with path.open("rb", buffering=0) as file:
            blob = self._store.put(iter(lambda: file.read(CHUNK), b""))
        with FileSource(path) as source:
            layout = read_layout(source)
        self._store.optimize(blob.digest, layout)
        self._digests[entry.name] = blob.digest

    def restore(self, name: str) -> Iterator[bytes]:
        with self._store.open(self._digests[name]) as reader:
            yield from reader.stream()

    def verify(self) -> None:
        """Read every blob as `cairn store verify` does."""
        found = self._store.verify()
        assert not found.bad, found.bad

    def close(self) -> None:
        """A store has nothing to close."""


@dataclass(slots=True)
class Clock:
    """CPU and wall seconds of some work."""

    cpu: float = 0.0
    wall: float = 0.0

    def time(self, work: Callable[[], Result]) -> Result:
        cpu, wall = time.process_time(), time.perf_counter()
        result = work()
        self.cpu += time.process_time() - cpu
        self.wall += time.perf_counter() - wall
        return result


@dataclass(slots=True)
class Outcome:
    """What one contender made of the corpus."""

    name: str
    plain: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    stored: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    taking: Clock = field(default_factory=Clock)
    giving: Clock = field(default_factory=Clock)

    @property
    def total(self) -> int:
        return sum(self.stored.values())

    @property
    def plain_total(self) -> int:
        return sum(self.plain.values())

    def ratio(self, group: str) -> float:
        return self.stored[group] / self.plain[group]


def measure(contender: Contender, folder: Path, entries: list[Entry]) -> Outcome:
    """Put everything in, count, take everything out, compare."""
    outcome = Outcome(contender.name)
    before = contender.stored_bytes
    for entry in entries:
        path = folder / entry.name
        outcome.plain[entry.group] += path.stat().st_size
        outcome.taking.time(lambda path=path, entry=entry: contender.add(path, entry))
        after = contender.stored_bytes
        outcome.stored[entry.group] += after - before
        before = after
    for entry in entries:
        compare(contender, folder / entry.name, entry, outcome.giving)
    return outcome


def compare(contender: Contender, path: Path, entry: Entry, clock: Clock) -> None:
    """Read a file back and compare every byte; only the reading is timed."""
    original, at = np.memmap(path, np.uint8, "r"), 0
    blocks = contender.restore(entry.name)
    while (block := clock.time(lambda: next(blocks, None))) is not None:
        same = np.array_equal(np.frombuffer(block, np.uint8), original[at : at + len(block)])
        assert same, f"{contender.name} gives other bytes of {entry.name} at {at}"
        at += len(block)
    assert at == len(original), f"{contender.name} gives {at} bytes of {entry.name}"


def run(kinds: list[Callable[[Path], Contender]], folder: Path, scratch: Path) -> list[Outcome]:
    """All contenders, one after the other, each in an empty folder."""
    entries, outcomes = list(corpus.entries(folder)), []
    for kind in kinds:
        place = Path(tempfile.mkdtemp(dir=scratch))
        contender = kind(place)
        outcomes.append(measure(contender, folder, entries))
        if isinstance(contender, Cairn):
            contender.verify()
        contender.close()
        shutil.rmtree(place)
        print(f"{outcomes[-1].name}: {outcomes[-1].total / 1e6:.1f} MB", file=sys.stderr)
    return outcomes


def print_totals(outcomes: list[Outcome]) -> None:
    """Bytes and speeds."""
    print("\n| | stored MB | share | in MB/s | in CPU s/GB | out MB/s | out CPU s/GB |")
    print("|---|---|---|---|---|---|---|")
    for o in outcomes:
        size = o.plain_total
        taking, giving = (
            f"{size / 1e6 / clock.wall:.0f} | {clock.cpu / size * 1e9:.2f}"
            for clock in (o.taking, o.giving)
        )
        print(f"| {o.name} | {o.total / 1e6:.1f} | {o.total / size:.4f} | {taking} | {giving} |")


def print_groups(outcomes: list[Outcome]) -> None:
    """Share of each group's plain bytes."""
    print("\n| group | MB | " + " | ".join(o.name for o in outcomes) + " |")
    print("|---" * (2 + len(outcomes)) + "|")
    for group in GROUPS:
        cells = [f"{o.ratio(group):.4f}" for o in outcomes]
        print(f"| {group} | {outcomes[0].plain[group] / 1e6:.1f} | {' | '.join(cells)} |")


def print_goals(outcomes: list[Outcome]) -> None:
    """Cairn against the goals of the store."""
    by_name = {o.name: o for o in outcomes}
    cairn, paper, xet = by_name[Cairn.name], by_name[ZipLLM.name], by_name[XetChunks.name]
    rows = [
        ("of ZipLLM", cairn.total / paper.total, 0.75),
        ("of Xet-style", cairn.total / xet.total, 0.6),
        ("LoRA-merged, of ZipLLM", cairn.stored["LoRA-merged"] / paper.stored["LoRA-merged"], 0.12),
        ("casts, of their size", cairn.ratio("casts"), 0.01),
        ("quantisations, of their size", cairn.ratio("quantisations"), 0.01),
    ]
    print("\n| Cairn's bytes | measured | goal |\n|---|---|---|")
    for what, found, goal in rows:
        print(f"| {what} | {found:.4f} | {goal} |")


def print_limits(folder: Path, cairn: Outcome) -> None:
    """The estimates beside what Cairn takes."""
    limits = Limits(folder)
    for entry in corpus.entries(folder):
        limits.add(entry)
    print("\n| group | bits per element | estimate | ratio |\n|---|---|---|---|")
    for group, estimate in limits.groups.items():
        took, least = cairn.stored[group] * 8 / estimate.elements, estimate.bits / estimate.elements
        ratio = f"{took / least:.3f}" if least else "-"
        print(f"| {group} | {took:.3f} | {least:.3f} | {ratio} |")


def main() -> None:
    """Build the corpus, measure, print tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--only", choices=["cairn", "others"])
    options = parser.parse_args()
    corpus.build(options.folder, "small" if options.small else "full")
    others = [] if options.only == "cairn" else list(BASELINES)
    kinds = [*others, *([] if options.only == "others" else [Cairn])]
    print(f"# Families\n\n{machine.describe()}; load {os.getloadavg()[0]:.1f} at the start.\n")
    with tempfile.TemporaryDirectory(dir=options.folder.parent) as scratch:
        toy = Path(scratch) / "toy"
        corpus.build(toy, "tiny")
        run(kinds, toy, Path(scratch))
        outcomes = run(kinds, options.folder, Path(scratch))
    print_totals(outcomes)
    print_groups([o for o in outcomes if o.name != NearestZipLLM.name])
    if len(kinds) > len(BASELINES):
        print_goals(outcomes)
    if options.only != "others":
        print_limits(options.folder, outcomes[-1])


if __name__ == "__main__":
    main()
