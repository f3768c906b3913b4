"""The tree cut into tiles: up to 256 consecutive hashes of one height, and the entries below them.

Specification: https://c2sp.org/tlog-tiles. The tile of level l and number n holds the hashes of
subtrees of `256 ** l` leaves each, 32 bytes one after another:

    tile/<level>/<number>[.p/<width>]    hashes
    tile/entries/<number>[.p/<width>]    entries: u16 length, big-endian, then the bytes, each

A number is written in groups of three digits, all but the last after an `x`: 1234067 is
`x001/x234/067`. A full tile never changes; one that is not full only gets longer.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from cairn.errors import EntryNotFoundError, LimitError, MalformedError
from cairn.provenance.log.merkle import HASH_BYTES, leaf_hash, node_hash

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
TILE_BYTES = TILE_WIDTH * HASH_BYTES
MAX_ENTRY_BYTES = 0xFFFF
MAX_BUNDLE_BYTES = TILE_WIDTH * (2 + MAX_ENTRY_BYTES)
_MAX_LEVEL = 7  # eight levels of 256 are 2 ** 64 entries; the specification allows 63
_PATH = re.compile(
    r"tile/(?P<level>[0-7]|entries)/(?P<number>(?:x[0-9]{3}/){0,5}[0-9]{3})"
    r"(?:\.p/(?P<width>[1-9][0-9]{0,2}))?\Z",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Tile:
    """Which hashes, or with level None which entries, a tile holds; `width` is 1 to 256."""

    level: int | None
    number: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        """Where it is served, below the log's address."""
        digits = f"{self.number:d}"
        digits = digits.rjust(-(-len(digits) // 3) * 3, "0")
        groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        number = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
        level = "entries" if self.level is None else self.level
        return f"tile/{level}/{number}" + ("" if self.is_full else f".p/{self.width}")

    @property
    def is_full(self) -> bool:
        """Whether it will never change."""
        return self.width == TILE_WIDTH

    @classmethod
    def at(cls, path: str) -> "Tile":
        """The tile of this path; EntryNotFoundError for a path that no tile has."""
        found = _PATH.match(path)
        level = found["level"] if found else ""
        if found is not None:
            width = int(found["width"] or TILE_WIDTH)
            number = int(re.sub("[x/]", "", found["number"]))
            tile = cls(None if level == "entries" else int(level), number, width)
            if tile.path == path:  # not with zeros in front, nor a full one called partial
                return tile
        raise EntryNotFoundError(f"{path[:120]!r} is not the path of a tile")


def hash_tiles(size: int) -> Iterator[Tile]:
    """All tiles of hashes of a tree of `size` leaves, from the leaves up."""
    for level in range(_MAX_LEVEL + 1):
        yield from _cut(level, size >> (TILE_HEIGHT * level))


def entry_tiles(size: int) -> Iterator[Tile]:
    """All bundles of entries of a tree of `size` leaves."""
    return _cut(None, size)


def edge_tiles(size: int) -> Iterator[Tile]:
    """The tiles of hashes that are not full."""
    return (tile for level in range(_MAX_LEVEL + 1) for tile in _edge(level, size))


def _edge(level: int, size: int) -> Iterator[Tile]:
    number, width = divmod(size >> (TILE_HEIGHT * level), TILE_WIDTH)
    if width:
        yield Tile(level, number, width)


def _cut(level: int | None, hashes: int) -> Iterator[Tile]:
    number, width = divmod(hashes, TILE_WIDTH)
    yield from (Tile(level, full) for full in range(number))
    if width:
        yield Tile(level, number, width)


class TiledTree:
    """The tree of `size` leaves, read tile by tile; each tile is asked for once.

    `read` gets a tile's hashes: as many bytes as its width says, or it raises.
    """

    def __init__(self, size: int, read: Callable[[Tile], bytes]) -> None:
        self.size = size
        self._read = read
        self._pyramids: dict[tuple[int, int], list[bytes]] = {}

    def node(self, height: int, index: int) -> bytes:
        """The hash of a complete subtree; see `merkle.Node`."""
        level, above = divmod(height, TILE_HEIGHT)
        number, offset = divmod(index << above, TILE_WIDTH)
        row = self._pyramid(level, number)[above]
        at = (offset >> above) * HASH_BYTES
        return row[at : at + HASH_BYTES]

    def _pyramid(self, level: int, number: int) -> list[bytes]:
        found = self._pyramids.get((level, number))
        if found is None:
            hashes = (self.size >> (TILE_HEIGHT * level)) - number * TILE_WIDTH
            tile = Tile(level, number, min(TILE_WIDTH, hashes))
            content = self._read(tile)
            if len(content) != tile.width * HASH_BYTES:
                raise MalformedError(
                    f"has {len(content)} bytes in place of {tile.width * HASH_BYTES}",
                    source=tile.path,
                )
            found = self._pyramids[level, number] = _pyramid(content)
        return found


def _pyramid(hashes: bytes) -> list[bytes]:
    """Rows of hashes, each made of pairs of the row below; an odd last one has no pair."""
    rows = [hashes]
    for _ in range(TILE_HEIGHT - 1):
        rows.append(_pairs(rows[-1]))
    return rows


def full_tile_hash(hashes: bytes) -> bytes:
    """The hash that stands for a full tile in the level above."""
    row = _pyramid(hashes)[-1]
    return node_hash(row[:HASH_BYTES], row[HASH_BYTES:])


def _pairs(row: bytes) -> bytes:
    sha256, pair = hashlib.sha256, 2 * HASH_BYTES
    return b"".join(
        sha256(b"\x01" + row[at : at + pair]).digest() for at in range(0, len(row) - pair + 1, pair)
    )


def grown(
    size: int, edge: Iterable[tuple[Tile, bytes]], leaves: Iterable[bytes]
) -> dict[Tile, bytes]:
    """The tiles that change when leaf hashes are added to a tree of `size`, with what they hold.

    `edge` are the tiles of `edge_tiles(size)` and their hashes.
    """
    changed: dict[Tile, bytes] = {}
    open_tiles = [bytearray() for _ in range(_MAX_LEVEL + 1)]
    numbers = [size >> (TILE_HEIGHT * (level + 1)) for level in range(_MAX_LEVEL + 1)]
    for tile, hashes in edge:
        assert tile.level is not None
        open_tiles[tile.level] += hashes
    touched = 0
    for leaf in leaves:
        level, added = 0, leaf
        open_tiles[0] += added
        while len(open_tiles[level]) == TILE_BYTES:
            full = bytes(open_tiles[level])
            changed[Tile(level, numbers[level])] = full
            open_tiles[level].clear()
            numbers[level] += 1
            added = full_tile_hash(full)
            level += 1
            open_tiles[level] += added
        touched = max(touched, level)
    for level in range(touched + 1):
        if open_tiles[level]:
            width = len(open_tiles[level]) // HASH_BYTES
            changed[Tile(level, numbers[level], width)] = bytes(open_tiles[level])
    return changed


def pack_entries(entries: Iterable[bytes]) -> bytes:
    """A bundle of entries; LimitError if one is longer than 65,535 bytes."""
    packed = bytearray()
    for entry in entries:
        if len(entry) > MAX_ENTRY_BYTES:
            raise LimitError(f"a log entry has {len(entry)} bytes; {MAX_ENTRY_BYTES} is the most")
        packed += len(entry).to_bytes(2, "big") + entry
    return bytes(packed)


def unpack_entries(bundle: bytes) -> Sequence[bytes]:
    """The entries of a bundle; MalformedError unless it ends where one of them does."""
    entries: list[bytes] = []
    at = 0
    while at < len(bundle):
        end = at + 2 + int.from_bytes(bundle[at : at + 2], "big")
        entries.append(bundle[at + 2 : end])
        at = end
    if at != len(bundle) or len(entries) > TILE_WIDTH:
        raise MalformedError(f"a bundle of log entries is not up to {TILE_WIDTH} whole ones")
    return entries


def leaf_hashes(entries: Iterable[bytes]) -> bytes:
    """The tile of level 0 that a bundle of entries belongs to."""
    return b"".join(map(leaf_hash, entries))
