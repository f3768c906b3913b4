"""Reading trees: one file, one directory page by page, or everything, in git's order.

A tree is named by the hex of its row's key, as `Revision.tree` holds it.
"""

from collections import OrderedDict
from collections.abc import Iterator
from threading import Lock

from sqlalchemy import Connection, select

from cairn.catalog import gitobjects
from cairn.catalog.database import Database
from cairn.catalog.schema import trees
from cairn.catalog.trees import PackedTree
from cairn.domain import Directory, Entry, Manifest
from cairn.errors import EntryNotFoundError, RequestError, RevisionNotFoundError

CACHE_BYTES = 16 << 20  # two directories at the cap, or 200,000 typical entries


class TreeStore:
    """The stored trees. Rows never change, so a small cache in memory is always right."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = Lock()
        self._cache: OrderedDict[bytes, PackedTree] = OrderedDict()
        self._cached_bytes = 0

    def load(self, key: bytes, connection: Connection | None = None) -> PackedTree:
        """The directory in a row, read over `connection` if one is open already.

        Raises:
            RevisionNotFoundError: there is no such row.
        """
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key]
        if connection is None:
            with self._database.read() as own:
                payload = _payload(own, key)
        else:
            payload = _payload(connection, key)
        tree = PackedTree(payload)
        self._keep(key, tree)
        return tree

    def entry(self, tree: str, path: str) -> Entry | Directory:
        """The file or directory at `path`.

        Raises:
            EntryNotFoundError: there is none.
        """
        current = self.load(_key(tree))
        names = _encoded(path).split(b"/")
        for depth, name in enumerate(names, 1):
            item = current.find(name)
            if item is not None and depth == len(names):
                return item.placed_at(path)
            if item is None or not item.is_directory:
                break
            current = self.load(item.content)
        raise EntryNotFoundError(f"there is no {path[:500]!r} in this revision")

    def list_tree(
        self, tree: str, path: str = "", *, recursive: bool = False, after: str | None = None
    ) -> Iterator[Entry | Directory]:
        """What lies in the directory `path` ("" is the root), lazily, in git's order.

        Directories are listed too, each followed by its contents when `recursive`.
        `after` is the path of the last one seen: listing goes on behind it.

        Raises:
            EntryNotFoundError: `path` is not a directory.
            RequestError: `after` is not below `path`.
        """
        top = self.load(_key(tree))
        if path:
            for name in _encoded(path).split(b"/"):
                item = top.find(name)
                if item is None or not item.is_directory:
                    raise EntryNotFoundError(f"there is no directory {path[:500]!r}")
                top = self.load(item.content)
        prefix = f"{path}/" if path else ""
        levels = [(prefix, top, 0)]
        if after is not None:
            if not after.startswith(prefix) or after == prefix:
                raise RequestError(f"cannot list {path or 'the root'} from {after[:500]!r} on")
            levels = self._behind(prefix, top, after, recursive=recursive)
        return self._walk(levels, recursive=recursive)

    def git_id(self, tree: str) -> str:
        """Git's own id of a tree; RevisionNotFoundError if there is no such tree."""
        return gitobjects.tree_oid(
            gitobjects.TreeEntry(item.name, item.oid, item.is_directory)
            for item in self.load(_key(tree)).items()
        )

    def manifest(self, tree: str) -> Manifest:
        """Every file, sorted by path."""
        found = self.list_tree(tree, recursive=True)
        files = {entry.path: entry for entry in found if isinstance(entry, Entry)}
        return Manifest({path: files[path] for path in sorted(files)})

    def _behind(
        self, prefix: str, top: PackedTree, after: str, *, recursive: bool
    ) -> list[tuple[str, PackedTree, int]]:
        """The open levels of a walk that has just listed `after`."""
        levels: list[tuple[str, PackedTree, int]] = []
        current = top
        names = _encoded(after[len(prefix) :]).split(b"/")
        for depth, name in enumerate(names, 1):
            item = current.find(name)
            if item is None:  # gone, or of another tree: what sorts behind its name comes next
                key = name if depth == len(names) else name + b"/"
                return [*levels, (prefix, current, current.position(key))]
            levels.append((prefix, current, current.position(item.sort_key) + 1))
            if not (recursive and item.is_directory):
                break
            prefix = f"{prefix}{name.decode()}/"
            current = self.load(item.content)
            if depth == len(names):
                levels.append((prefix, current, 0))
        return levels

    def _walk(
        self, levels: list[tuple[str, PackedTree, int]], *, recursive: bool
    ) -> Iterator[Entry | Directory]:
        while levels:
            prefix, tree, index = levels.pop()
            if index == tree.count:
                continue
            levels.append((prefix, tree, index + 1))
            item = tree.item(index)
            path = prefix + item.name.decode()
            yield item.placed_at(path)
            if recursive and item.is_directory:
                levels.append((f"{path}/", self.load(item.content), 0))

    def _keep(self, key: bytes, tree: PackedTree) -> None:
        with self._lock:
            if key not in self._cache:
                self._cache[key] = tree
                self._cached_bytes += tree.packed_bytes
            while self._cached_bytes > CACHE_BYTES:
                _, dropped = self._cache.popitem(last=False)
                self._cached_bytes -= dropped.packed_bytes


def _payload(connection: Connection, key: bytes) -> bytes:
    query = select(trees.c.payload).where(trees.c.key == key)
    payload = connection.execute(query).scalar_one_or_none()
    if payload is None:
        raise RevisionNotFoundError(f"there is no tree {key.hex()}")
    return bytes(payload)


def _key(tree: str) -> bytes:
    try:
        return bytes.fromhex(tree)
    except ValueError:
        raise RevisionNotFoundError(f"{tree[:80]!r} is not a tree") from None


def _encoded(path: str) -> bytes:
    """A lone surrogate can be in no stored name; keep it so that it is simply not found."""
    return path.encode(errors="surrogatepass")
