"""How changes turn one tree into the next: only directories on changed paths are packed anew."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from cairn.catalog.changes import Change, DeleteFile, DeleteFolder, PutFile
from cairn.catalog.records import ChangeKind, FileChange
from cairn.catalog.trees import Kind, NewTree, PackedTree, TreeItem, pack
from cairn.errors import ConflictError, EntryNotFoundError, LimitError

# Each level of a path is a row. Without a cap one 4 KiB path could make 2,000 of them.
MAX_DEPTH = 256
# Rows one commit may rewrite; the HF hub advises against more than 100,000 files per repo.
MAX_FOLDERS = 100_000
# A folder is packed into one row of about 75 bytes per entry: 7.5 MB at this cap.
MAX_FOLDER_ENTRIES = 100_000


@dataclass(slots=True)
class _Folder:
    """A directory being changed: items as stored, or folders opened in turn. Never left empty."""

    items: "dict[bytes, TreeItem | _Folder]" = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Edited:
    """The outcome: the new root, every packed directory (root included), the files that differ."""

    root: NewTree
    trees: tuple[NewTree, ...]
    changed: tuple[FileChange, ...]


def edit(
    load: Callable[[bytes], PackedTree], root: bytes | None, changes: Iterable[Change]
) -> Edited:
    """Apply changes in their order to the tree in row `root` (None: an empty one).

    Raises:
        EntryNotFoundError: something to delete is not there.
        ConflictError: a file is put where a directory is, or below a file.
        LimitError: too deep, or too many directories or entries.
    """
    tree = _Tree(load, root)
    for change in changes:
        match change:
            case PutFile():
                tree.put(change)
            case DeleteFile(path):
                tree.delete(path)
            case DeleteFolder(path):
                tree.delete_folder(path)
    trees = tree.pack()
    return Edited(trees[-1], tuple(trees), tuple(tree.changed()))


class _Tree:
    """A tree under change, and what its touched files were before."""

    def __init__(self, load: Callable[[bytes], PackedTree], root: bytes | None) -> None:
        self._load = load
        self._opened = 0
        self._root = self._open(root) if root is not None else _Folder()
        self._before: dict[str, TreeItem | None] = {}

    def put(self, change: PutFile) -> None:
        """Add or replace a file."""
        names = _names(change.path)
        folder = self._folders(change.path, names)[-1]
        old = folder.items.get(names[-1])
        if isinstance(old, _Folder) or (old is not None and old.is_directory):
            raise ConflictError(
                f"{change.path} is a directory; delete it first to put a file there"
            )
        kind = Kind.LARGE_FILE if change.lfs else Kind.FILE
        item = TreeItem(
            names[-1],
            kind,
            change.blob.size_bytes,
            bytes.fromhex(change.oid),
            change.blob.digest.raw,
        )
        self._before.setdefault(change.path, old)
        folder.items[names[-1]] = item

    def delete(self, path: str) -> None:
        """Remove a file, or a directory with all it holds."""
        names, folders, found = self._find(path)
        if isinstance(found, _Folder):
            self._remember_below(path, found)
        else:
            self._before.setdefault(path, found)
        _remove(folders, names)

    def delete_folder(self, path: str) -> None:
        """Remove a directory with all it holds."""
        names, folders, found = self._find(path)
        if not isinstance(found, _Folder):
            raise EntryNotFoundError(f"{path} is a file, not a directory")
        self._remember_below(path, found)
        _remove(folders, names)

    def changed(self) -> list[FileChange]:
        """The files that differ from before, by path."""
        found = []
        for path in sorted(self._before):
            before, after = self._before[path], self._file(path)
            if before == after:
                continue
            if before is None:
                kind = ChangeKind.ADDED
            else:
                kind = ChangeKind.DELETED if after is None else ChangeKind.MODIFIED
            found.append(FileChange(path, kind))
        return found

    def pack(self) -> list[NewTree]:
        """Every opened directory, children before parents, the root last."""
        folders = [self._root]
        for folder in folders:  # grows while we walk: breadth first
            folders += (item for item in folder.items.values() if isinstance(item, _Folder))
        packed: dict[int, NewTree] = {}
        for folder in reversed(folders):
            if len(folder.items) > MAX_FOLDER_ENTRIES:
                raise LimitError(
                    f"a directory would hold {len(folder.items)} entries",
                    hint=f"the most is {MAX_FOLDER_ENTRIES}; spread them over subdirectories",
                )
            packed[id(folder)] = pack(
                _subdirectory(name, packed[id(item)]) if isinstance(item, _Folder) else item
                for name, item in folder.items.items()
            )
        return list(packed.values())

    def _open(self, key: bytes) -> _Folder:
        self._count()
        return _Folder({item.name: item for item in self._load(key).items()})

    def _count(self) -> None:
        self._opened += 1
        if self._opened > MAX_FOLDERS:
            raise LimitError(
                f"the commit touches more than {MAX_FOLDERS} directories",
                hint="split it into several commits",
            )

    def _enter(self, folder: _Folder, name: bytes) -> "_Folder | TreeItem | None":
        """The child of this name, opened if it is a directory."""
        child = folder.items.get(name)
        if isinstance(child, TreeItem) and child.is_directory:
            child = folder.items[name] = self._open(child.content)
        return child

    def _folders(self, path: str, names: list[bytes]) -> list[_Folder]:
        """The folders from the root to the parent of `path`, made where missing."""
        folders = [self._root]
        for depth, name in enumerate(names[:-1], 1):
            child = self._enter(folders[-1], name)
            if isinstance(child, TreeItem):
                above = "/".join(path.split("/")[:depth])
                raise ConflictError(f"{above} is a file, so there can be no {path}")
            if child is None:
                self._count()
                child = folders[-1].items[name] = _Folder()
            folders.append(child)
        return folders

    def _find(self, path: str) -> "tuple[list[bytes], list[_Folder], _Folder | TreeItem]":
        """The folders above `path` and what is there."""
        names = _names(path)
        folders = [self._root]
        for name in names:
            child = self._enter(folders[-1], name)
            if child is not None and len(folders) == len(names):
                return names, folders, child
            if not isinstance(child, _Folder):
                break
            folders.append(child)
        raise EntryNotFoundError(f"{path} does not exist, so it cannot be deleted")

    def _file(self, path: str) -> TreeItem | None:
        """The file at `path` now."""
        names = _names(path)
        folder = self._root
        for name in names[:-1]:
            child = folder.items.get(name)
            if not isinstance(child, _Folder):
                return None
            folder = child
        found = folder.items.get(names[-1])
        return found if isinstance(found, TreeItem) and not found.is_directory else None

    def _remember_below(self, path: str, folder: _Folder) -> None:
        waiting = [(path, folder)]
        while waiting:
            prefix, current = waiting.pop()
            for name in list(current.items):
                below = f"{prefix}/{name.decode()}"
                child = self._enter(current, name)
                if isinstance(child, _Folder):
                    waiting.append((below, child))
                else:
                    self._before.setdefault(below, child)


def _remove(folders: list[_Folder], names: list[bytes]) -> None:
    """Take the last name out of the last folder, and folders left empty out of theirs."""
    for folder, name in zip(reversed(folders), reversed(names), strict=True):
        del folder.items[name]
        if folder.items:
            return


def _names(path: str) -> list[bytes]:
    names = path.encode().split(b"/")
    if len(names) > MAX_DEPTH:
        raise LimitError(f"the path has {len(names)} levels", hint=f"the most is {MAX_DEPTH}")
    return names


def _subdirectory(name: bytes, tree: NewTree) -> TreeItem:
    return TreeItem(name, Kind.DIRECTORY, 0, tree.oid, tree.key)
