"""How one directory is packed into a row: sorted entries with ids, digests and sizes.

A row is named by the SHA-256 of its payload, not by git's tree id. Git's id says only what
git would see: a pointer file typed in by hand and a real LFS file have the same one, and
SHA-1 can be made to collide. Rows are shared by all repos, so the name must cover the blob
digests too; otherwise a repo could be made to show another's files.

Payload, integers little-endian:

    u8   version, 1
    u32  count
    u32  offset of each record, from the start of the first, in git's order of entries
    then per record:
      u8   kind: 0 directory, 1 file, 2 file held as LFS pointer
      u64  plain bytes (0 for a directory)
      20   git object id (of the pointer for kind 2)
      32   SHA-256 of the plain bytes, or the name of the subdirectory's row
      ...  name, UTF-8, up to the next record
"""

import hashlib
import struct
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import NamedTuple

from cairn.catalog import gitobjects
from cairn.domain import Blob, Digest, Directory, Entry
from cairn.errors import IntegrityError

_VERSION = 1
_HEAD = struct.Struct("<BI")
_OFFSET = struct.Struct("<I")
_RECORD = struct.Struct("<BQ20s32s")


class Kind(IntEnum):
    """What an entry is."""

    DIRECTORY = 0
    FILE = 1
    LARGE_FILE = 2


class TreeItem(NamedTuple):
    """One entry of a directory. `content` is a blob's SHA-256 or a subdirectory's row name."""

    name: bytes
    kind: int
    size_bytes: int
    oid: bytes
    content: bytes

    @property
    def is_directory(self) -> bool:
        """Whether it has entries of its own."""
        return self.kind == Kind.DIRECTORY

    @property
    def sort_key(self) -> bytes:
        """Its place in git's order."""
        return gitobjects.tree_sort_key(self.name, is_directory=self.is_directory)

    def placed_at(self, path: str) -> Entry | Directory:
        """The noun for this item under its full path."""
        if self.is_directory:
            return Directory(path, self.oid.hex())
        large = self.kind == Kind.LARGE_FILE
        pointer_size = gitobjects.lfs_pointer_size(self.size_bytes) if large else 0
        blob = Blob(Digest.sha256(self.content.hex()), self.size_bytes)
        return Entry(path, blob, self.oid.hex(), large, pointer_size)


class PackedTree:
    """A directory as stored; entries are decoded one by one, found by binary search."""

    __slots__ = ("_payload", "_records", "count")

    def __init__(self, payload: bytes) -> None:
        version, count = _HEAD.unpack_from(payload)
        if version != _VERSION:
            raise IntegrityError(f"tree row of version {version}; this Cairn reads {_VERSION}")
        self.count = int(count)
        self._payload = payload
        self._records = _HEAD.size + 4 * self.count

    @property
    def packed_bytes(self) -> int:
        """Bytes the payload takes."""
        return len(self._payload)

    def item(self, index: int) -> TreeItem:
        """The entry at a place in git's order."""
        start = self._offset(index)
        kind, size, oid, content = _RECORD.unpack_from(self._payload, start)
        name = self._payload[start + _RECORD.size : self._offset(index + 1)]
        return TreeItem(name, kind, size, oid, content)

    def _offset(self, index: int) -> int:
        if index == self.count:
            return len(self._payload)
        place = _HEAD.size + _OFFSET.size * index
        return self._records + int(_OFFSET.unpack_from(self._payload, place)[0])

    def find(self, name: bytes) -> TreeItem | None:
        """The entry with this name."""
        for key in (name, name + b"/"):
            index = self.position(key)
            if index < self.count:
                item = self.item(index)
                if item.name == name:
                    return item
        return None

    def position(self, sort_key: bytes) -> int:
        """How many entries come before `sort_key` in git's order."""
        low, high = 0, self.count
        while low < high:
            middle = (low + high) // 2
            if self.item(middle).sort_key < sort_key:
                low = middle + 1
            else:
                high = middle
        return low

    def items(self, start: int = 0) -> Iterator[TreeItem]:
        """The entries from a place on, in git's order."""
        for index in range(start, self.count):
            yield self.item(index)


class NewTree(NamedTuple):
    """A directory ready to be stored: row name, git tree id, payload."""

    key: bytes
    oid: bytes
    payload: bytes


def pack(items: Iterable[TreeItem]) -> NewTree:
    """Pack the entries of one directory, given in any order."""
    ordered = sorted(items, key=lambda item: item.sort_key)
    records: list[bytes] = []
    offsets: list[int] = []
    at = 0
    for item in ordered:
        head = _RECORD.pack(item.kind, item.size_bytes, item.oid, item.content)
        records += (head, item.name)
        offsets.append(at)
        at += len(head) + len(item.name)
    payload = b"".join(
        (_HEAD.pack(_VERSION, len(ordered)), struct.pack(f"<{len(offsets)}I", *offsets), *records)
    )
    oid = gitobjects.tree_oid(
        gitobjects.TreeEntry(item.name, item.oid, item.is_directory) for item in ordered
    )
    return NewTree(hashlib.sha256(payload).digest(), bytes.fromhex(oid), payload)
