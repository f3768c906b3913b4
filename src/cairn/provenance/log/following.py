"""What whoever follows a log does: believe its head, compare it with one seen before, read it all.

Nothing that a log's files say is believed because they say so. A head counts when its key signed
it; hashes count when they lead to the root of such a head.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from cairn.errors import EntryNotFoundError, IntegrityError, MalformedError, UntrustedDataError
from cairn.provenance.log.heads import TreeHead
from cairn.provenance.log.log_keys import LogKeys
from cairn.provenance.log.merkle import (
    HASH_BYTES,
    check_consistency,
    consistency_proof,
    root_hash,
)
from cairn.provenance.log.tiles import (
    MAX_BUNDLE_BYTES,
    TILE_BYTES,
    TILE_WIDTH,
    Tile,
    TiledTree,
    entry_tiles,
    full_tile_hash,
    hash_tiles,
    leaf_hashes,
    unpack_entries,
)

CHECKPOINT = "checkpoint"


class LogFiles(Protocol):
    """Where the files of a log are: a folder, a hub, an address."""

    def read(self, path: str, max_bytes: int) -> bytes:
        """The file at a path below the log's own.

        Raises:
            EntryNotFoundError: there is none.
            LimitError: it is longer than `max_bytes`.
        """
        ...


@dataclass(frozen=True, slots=True)
class SignedHead:
    """A head and the note in which it was signed."""

    head: TreeHead
    note: bytes

    @classmethod
    def of(cls, note: bytes, keys: LogKeys) -> "SignedHead":
        """The head of a note that a key of the log has signed; raises what `LogKeys.head` does."""
        return cls(keys.head(note), note)


def tree_of(files: LogFiles, size: int) -> TiledTree:
    """The tree of the first `size` entries, its tiles read when they are needed."""

    def read(tile: Tile) -> bytes:
        return _read(files, tile, TILE_BYTES)[: tile.width * HASH_BYTES]

    return TiledTree(size, read)


def check_begins_with(files: LogFiles, new: TreeHead, old: TreeHead) -> None:
    """Let through a log whose first `old.size` entries are those of an older head.

    Raises:
        IntegrityError: it was cut or rewritten since, or its tiles do not lead to its root.
    """
    proof = []
    if old.size <= new.size:
        try:
            proof = consistency_proof(old.size, new.size, tree_of(files, new.size).node)
        except (EntryNotFoundError, UntrustedDataError) as error:
            raise IntegrityError(f"the log does not show what it had before: {error}") from None
    check_consistency(old.size, old.root, new.size, new.root, proof)


def entries_of(
    files: LogFiles, size: int, first: int = 0
) -> Iterator[tuple[Tile, Sequence[bytes]]]:
    """The entries of a log, bundle by bundle, from the one that has entry `first`.

    Raises:
        EntryNotFoundError: one is missing. MalformedError: one has another form.
    """
    for tile in entry_tiles(size):
        if tile.number >= first // TILE_WIDTH:
            yield tile, _entries(files, tile)


def check_all(files: LogFiles, head: TreeHead, advance: Callable[[int], None]) -> None:
    """Let through a log whose entries and tiles are all there and lead to its root.

    Reads everything. `advance` gets the number of entries that were read.

    Raises:
        IntegrityError: an entry or a tile was changed, or is missing.
    """
    try:
        for tile in hash_tiles(head.size):
            hashes = _read(files, tile, TILE_BYTES)[: tile.width * HASH_BYTES]
            if tile.level == 0:
                entries = _entries(files, Tile(None, tile.number, tile.width))
                if leaf_hashes(entries) != hashes:
                    raise IntegrityError(f"{tile.path}: its hashes are not those of its entries")
                advance(len(entries))
            else:
                _check_upper_tile(files, tile, hashes)
        root = root_hash(head.size, tree_of(files, head.size).node)
    except (EntryNotFoundError, UntrustedDataError) as error:
        raise IntegrityError(f"the log is not whole: {error}") from None
    if root != head.root:
        raise IntegrityError("the entries of the log do not lead to the root that was signed")


def _entries(files: LogFiles, tile: Tile) -> Sequence[bytes]:
    bundle = _read(files, tile, MAX_BUNDLE_BYTES)
    found = unpack_entries(bundle)
    if len(found) < tile.width:
        raise MalformedError(f"has {len(found)} entries, not {tile.width}", source=tile.path)
    return found[: tile.width]


def _read(files: LogFiles, tile: Tile, max_bytes: int) -> bytes:
    """A tile, or the full one that took its place meanwhile."""
    try:
        return files.read(tile.path, max_bytes)
    except EntryNotFoundError:
        if tile.is_full:
            raise
    return files.read(Tile(tile.level, tile.number).path, max_bytes)


def _check_upper_tile(files: LogFiles, tile: Tile, hashes: bytes) -> None:
    """Let through a tile whose hashes are those of the full tiles below."""
    assert tile.level is not None
    for n in range(tile.width):
        below = Tile(tile.level - 1, tile.number * TILE_WIDTH + n)
        content = _read(files, below, TILE_BYTES)
        if full_tile_hash(content) != hashes[n * HASH_BYTES : (n + 1) * HASH_BYTES]:
            raise IntegrityError(f"{tile.path}: its hash {n} is not that of {below.path}")
