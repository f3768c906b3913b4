"""Logs made in a test: entries, their tiles, and the tree as its definition has it."""

import hashlib

from cairn.provenance.log import Tile, TiledTree, edge_tiles, grown, leaf_hash


def entries_of(count: int, salt: str = "") -> list[bytes]:
    return [f"entry {n}{salt}".encode() for n in range(count)]


def defined_root(entries: list[bytes]) -> bytes:
    """RFC 6962, 2.1, word for word."""
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    k = 1
    while k * 2 < len(entries):
        k *= 2
    left, right = defined_root(entries[:k]), defined_root(entries[k:])
    return hashlib.sha256(b"\x01" + left + right).digest()


class Grown:
    """The tiles of a log, as batches of entries made them."""

    def __init__(self) -> None:
        self.size = 0
        self.tiles: dict[tuple[int | None, int], bytes] = {}

    def add(self, entries: list[bytes]) -> "Grown":
        edge = [(tile, self.read(tile)) for tile in edge_tiles(self.size)]
        for tile, hashes in grown(self.size, edge, map(leaf_hash, entries)).items():
            assert len(hashes) == tile.width * 32
            self.tiles[tile.level, tile.number] = hashes
        self.size += len(entries)
        return self

    def read(self, tile: Tile) -> bytes:
        return self.tiles[tile.level, tile.number][: tile.width * 32]

    def tree(self, size: int | None = None) -> TiledTree:
        return TiledTree(self.size if size is None else size, self.read)


def log_of(entries: list[bytes]) -> Grown:
    return Grown().add(entries)
