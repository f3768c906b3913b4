"""What the transparency log costs at a million entries, against hashing the entries alone.

    python benchmarks/log.py [--entries 1000000] [--batch 500]

Entries are 300 bytes, as those of refs are. `hash` is the baseline: SHA-256 of each entry, as any
tree over them needs at least. `append` makes the tiles of the tree as the hub does, `--batch`
entries at a time, in memory; `catalog` is the same with the hub's database below, for 20,000 of
them, with the fsync of each batch. Proofs are made from the tiles and checked, of entries and older
heads drawn at random; their times are medians.
"""

import argparse
import hashlib
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from cairn.bootstrap import open_house
from cairn.catalog import log_waiting
from cairn.config import Settings
from cairn.domain import LogKind
from cairn.provenance.log import (
    Tile,
    TiledTree,
    check_consistency,
    check_inclusion,
    consistency_proof,
    edge_tiles,
    grown,
    inclusion_proof,
    leaf_hash,
    root_hash,
)
from cairn.workflows.transparency import settle

ENTRY_BYTES = 300
PROOFS = 500


def entry(number: int) -> bytes:
    return f"{number:>12} ".encode().ljust(ENTRY_BYTES, b".")


class Tiles:
    """The tiles of a growing log, in memory."""

    def __init__(self) -> None:
        self.size = 0
        self._kept: dict[tuple[int | None, int], bytes] = {}

    def append(self, entries: list[bytes]) -> None:
        edge = [(tile, self.read(tile)) for tile in edge_tiles(self.size)]
        for tile, hashes in grown(self.size, edge, map(leaf_hash, entries)).items():
            self._kept[tile.level, tile.number] = hashes
        self.size += len(entries)

    def read(self, tile: Tile) -> bytes:
        return self._kept[tile.level, tile.number][: tile.width * 32]

    def tree(self, size: int) -> TiledTree:
        return TiledTree(size, self.read)


def seconds(work: Callable[[], object]) -> float:
    began_s = time.process_time()
    work()
    return time.process_time() - began_s


def batches(count: int, batch: int) -> Iterable[list[bytes]]:
    for first in range(0, count, batch):
        yield [entry(n) for n in range(first, min(count, first + batch))]


def measure_append(count: int, batch: int) -> Tiles:
    """Hash and append the same entries, a batch of one after a batch of the other."""
    tiles, hashed_s, appended_s = Tiles(), 0.0, 0.0
    for entries in batches(count, batch):
        hashed_s += seconds(lambda some=entries: [hashlib.sha256(one).digest() for one in some])
        appended_s += seconds(lambda some=entries: tiles.append(some))
    print(f"hash    {count / hashed_s:>12,.0f} entries/s")
    print(f"append  {count / appended_s:>12,.0f} entries/s, {appended_s / hashed_s:.2f} times hash")
    return tiles


def measure_proofs(tiles: Tiles) -> None:
    size, drawn = tiles.size, random.Random(1)
    root = root_hash(size, tiles.tree(size).node)
    made: list[float] = []
    checked: list[float] = []
    for number in (drawn.randrange(size) for _ in range(PROOFS)):
        began_s = time.perf_counter()
        path = inclusion_proof(number, size, tiles.tree(size).node)
        made.append(time.perf_counter() - began_s)
        leaf = leaf_hash(entry(number))
        checked.append(seconds(lambda: check_inclusion(leaf, number, size, root, path)))  # noqa: B023
    tell("inclusion", made, checked)
    made, checked = [], []
    for old in (drawn.randrange(1, size) for _ in range(PROOFS)):
        before = root_hash(old, tiles.tree(old).node)
        began_s = time.perf_counter()
        proof = consistency_proof(old, size, tiles.tree(size).node)
        made.append(time.perf_counter() - began_s)
        checked.append(seconds(lambda: check_consistency(old, before, size, root, proof)))  # noqa: B023
    tell("consistency", made, checked)


def tell(what: str, made: list[float], checked: list[float]) -> None:
    print(
        f"{what} proof: made in {1000 * statistics.median(made):.2f} ms,"
        f" checked in {1000 * statistics.median(checked):.2f} ms"
    )


def measure_catalog(count: int) -> None:
    """What waits is put into the log of a hub, tiles and rows."""
    with tempfile.TemporaryDirectory() as folder:
        house = open_house(Settings(data_dir=Path(folder)))
        now = house.clock()
        with house.catalog.database.write() as connection:
            for number in range(count):
                facts = {"policy": "warn", "before": f"{number:>150}"}
                log_waiting.decided(
                    connection, None, LogKind.SCAN_POLICY, facts, actor="operator", at=now
                )
        began_s = time.perf_counter()
        used_s = seconds(lambda: settle(house))
        passed_s = time.perf_counter() - began_s
        print(f"catalog {count / passed_s:>12,.0f} entries/s, {count / used_s:,.0f} a CPU second")
        house.catalog.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--batch", type=int, default=500)
    options = parser.parse_args()
    tiles = measure_append(options.entries, options.batch)
    measure_proofs(tiles)
    measure_catalog(20_000)


if __name__ == "__main__":
    main()
