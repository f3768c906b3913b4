"""A log kept as files in a folder: what any web server can serve as the log it mirrors."""

import secrets
from collections.abc import Callable
from pathlib import Path

from cairn.errors import EntryNotFoundError, IntegrityError, LimitError
from cairn.provenance.log.following import (
    CHECKPOINT,
    LogFiles,
    SignedHead,
    check_begins_with,
    entries_of,
)
from cairn.provenance.log.heads import TreeHead
from cairn.provenance.log.log_keys import KEYS
from cairn.provenance.log.merkle import leaf_hash, root_hash
from cairn.provenance.log.tiles import (
    TILE_BYTES,
    TILE_WIDTH,
    Tile,
    TiledTree,
    edge_tiles,
    entry_tiles,
    grown,
    pack_entries,
)


class Mirror:
    """The files of a log in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def is_empty(self) -> bool:
        """Whether no log was mirrored here yet."""
        return not (self._folder / CHECKPOINT).exists()

    def read(self, path: str, max_bytes: int) -> bytes:
        """See `following.LogFiles.read`."""
        try:
            with (self._folder / path).open("rb") as file:
                content = file.read(max_bytes + 1)
        except (FileNotFoundError, NotADirectoryError):
            raise EntryNotFoundError(f"{self._folder}: there is no {path}") from None
        if len(content) > max_bytes:
            raise LimitError(f"has more than {max_bytes} bytes", source=str(self._folder / path))
        return content

    def grow(
        self,
        files: LogFiles,
        new: SignedHead,
        old: TreeHead | None,
        advance: Callable[[int], None],
        handovers: bytes = b"",
    ) -> None:
        """Go on from `old`, this folder's head, to `new`, that of the log.

        Fetches the entries in between and makes the tiles of them. The new head is written when
        they lead to its root; a run that ends before is taken up by the next. `advance` gets
        the number of entries fetched. `handovers` are those of the log's keys, as it tells them.

        Raises:
            IntegrityError: they do not, or the log does not begin with what is here.
            EntryNotFoundError, UntrustedDataError: a file is missing or has another form.
        """
        head, known = new.head, 0 if old is None else old.size
        if old is not None:
            check_begins_with(files, head, old)
        at = known - known % TILE_WIDTH  # a bundle that was not full is fetched again
        edge = {tile: self.read(tile.path, TILE_BYTES) for tile in edge_tiles(at)}
        for bundle, entries in entries_of(files, head.size, at):
            tiles = grown(at, edge.items(), map(leaf_hash, entries))
            self._put(bundle.path, pack_entries(entries))
            for tile in tiles:
                if tile.is_full:
                    self._put(tile.path, tiles[tile])
            at += len(entries)
            every = edge | tiles
            edge = {tile: every[tile] for tile in edge_tiles(at)}
            advance(len(entries))
        for tile, hashes in edge.items():
            self._put(tile.path, hashes)
        tree = TiledTree(head.size, lambda tile: self.read(tile.path, TILE_BYTES))
        if root_hash(head.size, tree.node) != head.root:
            raise IntegrityError("the entries of the log do not lead to the root that was signed")
        if handovers:
            self._put(KEYS, handovers)
        self._put(CHECKPOINT, new.note)
        for tile in _partial(known) - _partial(head.size):
            (self._folder / tile.path).unlink(missing_ok=True)

    def _put(self, path: str, content: bytes) -> None:
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f"{target.name}.{secrets.token_hex(8)}")
        draft.write_bytes(content)
        draft.replace(target)


def _partial(size: int) -> set[Tile]:
    """The tiles of a log of this size that are not full."""
    bundles = [tile for tile in entry_tiles(size) if not tile.is_full]
    return {*bundles, *edge_tiles(size)}
