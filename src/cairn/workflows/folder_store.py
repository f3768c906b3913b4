"""A store in a folder, without a hub: files go in under a name and come out byte for byte."""

import hashlib
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cairn.domain import Blob, Digest
from cairn.errors import (
    BlobNotFoundError,
    ConflictError,
    EntryNotFoundError,
    IntegrityError,
    NotFoundError,
    RequestError,
)
from cairn.formats import READERS, File, Reader
from cairn.plugins import Registry
from cairn.store import BlobStore, Collected, GroupShare, NamedBlob, open_local_store
from cairn.workflows.damage import Damage
from cairn.workflows.local_files import folder_files, local_file
from cairn.workflows.optimize import optimize_blob
from cairn.workflows.stocktaking import Stocktaking, count
from cairn.workflows.written import check_target, replacing

Progress = Callable[[int], None]

_BLOCK_BYTES = 1 << 20
_HEX = re.compile(r"(?:sha256:)?([0-9a-f]{64})\Z")
_MARK = "FORMAT"
_ATTEMPTS = 5


@dataclass(frozen=True)
class FolderStore:
    """An opened store and the readers for what is put into it."""

    store: BlobStore
    readers: Registry[Reader] = READERS


@dataclass(frozen=True, slots=True)
class Added:
    """A file that was put in: its name, its blob and the bytes newly written for it."""

    name: str
    blob: Blob
    written_bytes: int


def open_folder(root: Path, *, create: bool = False) -> FolderStore:
    """Open the store in a folder; with `create`, begin one where there is nothing.

    Raises:
        NotFoundError: no store is there, and `create` is not given.
        RequestError: the folder holds something else.
        UnavailableError: it cannot be used, or was written by a newer Cairn.
    """
    if not (root / _MARK).is_file():
        if not create:
            raise NotFoundError(f"no store is kept in {root}; `cairn store add` begins one")
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise RequestError(f"{root} is not empty and not a store: name another folder")
    return FolderStore(open_local_store(root))


def collect_folder(store: BlobStore, grace_s: float = 0.0) -> Collected:
    """Remove what no name needs; nothing in a hub's store, where revisions need blobs as well."""
    if store.hub_mark.is_there():
        return Collected()
    return store.collect(lambda: (), grace_s)


def remove_names(store: BlobStore, names: Iterable[str]) -> Collected:
    """Take names away, and free what nothing else needs.

    Raises:
        EntryNotFoundError: nothing has one of them; the others stay as well.
    """
    wanted = dict.fromkeys(names)
    for name in wanted:
        if not store.names.has(name):  # a damaged record may go
            raise EntryNotFoundError(
                f"nothing in the store is called {name[:200]!r}, so nothing was removed:"
                " `cairn store ls` lists what is there"
            )
    for name in wanted:
        store.names.remove(name)
    return collect_folder(store)


def check_not_of_hub(store: BlobStore, root: Path) -> None:
    """Refuse to free anything of a hub, whose revisions a folder's commands do not know.

    Raises:
        RequestError: the store is one of a hub.
    """
    if store.hub_mark.is_there():
        raise RequestError(
            f"{root} is the store of a hub, and only the hub knows what its revisions need:"
            " run `cairn store gc --data` with the hub's data directory"
        )


def named_files(paths: Iterable[Path], prefix: str = "") -> dict[str, File]:
    """The files, and those in the folders, by the name they get: `prefix/folder/path/in/it`.

    Raises:
        EntryNotFoundError: a path is not there.
        RequestError: two files would have one name.
    """
    start = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
    found: dict[str, File] = {}
    for path in paths:
        full = path.absolute()
        inside = folder_files(full) if full.is_dir() else {"": local_file(full, full.name, full)}
        for relative, file in inside.items():
            name = start + full.name + (f"/{relative}" if relative else "")
            if name in found:
                raise RequestError(f"two files would be called {name!r}: add them with --prefix")
            found[name] = file
    return found


def add_file(
    folder: FolderStore, name: str, file: File, *, replace: bool, progress: Progress
) -> Added:
    """Put a file in under a name and keep its tensors as parts.

    Raises:
        ConflictError: the name belongs to other bytes, and `replace` is not given.
        UnavailableError: the disk is full or failing.
    """

    def blocks() -> Iterator[bytes]:
        with file.open() as source:
            for at in range(0, source.size_bytes, _BLOCK_BYTES):
                block = source.read_at(at, _BLOCK_BYTES)
                progress(len(block))
                yield block

    named = put_named(folder.store, name, blocks, replace=replace)
    done = optimize_blob(folder, named.blob.digest)
    return Added(name, named.blob, done.stored_after)


def put_named(
    store: BlobStore,
    name: str,
    chunks: Callable[[], Iterable[bytes | memoryview]],
    *,
    metadata: Mapping[str, Any] | None = None,
    replace: bool,
) -> NamedBlob:
    """Keep bytes under a name; durable when this returns, also beside a gc.

    A gc that asked for names before this one was given may take the blob: it is then put again,
    and no later gc takes it.

    Raises:
        ConflictError: the name belongs to other bytes, and `replace` is not given.
    """
    for _ in range(_ATTEMPTS):
        blob = store.put(chunks())
        named = NamedBlob(name, blob, time.time_ns() // 1000, metadata or {})
        if not store.names.put(named, replace=replace) and store.names.get(name).blob != blob:
            raise ConflictError(f"{name!r} is in the store with other bytes; --replace moves it")
        try:
            store.touch(blob.digest)
        except BlobNotFoundError:
            continue
        return named
    raise ConflictError(f"{name!r} is removed again and again while it is put")


def find(store: BlobStore, text: str) -> Blob:
    """The blob with this name or SHA-256.

    Raises:
        EntryNotFoundError, BlobNotFoundError: there is none.
    """
    try:
        return store.names.get(text).blob
    except EntryNotFoundError:
        digest = _HEX.match(text)
        if digest is None:
            raise
        return store.blob(Digest.sha256(digest[1]))


def get_file(
    store: BlobStore, blob: Blob, target: Path, *, force: bool, progress: Progress
) -> None:
    """Write a blob to a file, which appears when its SHA-256 is found to be right.

    Raises:
        ConflictError: the file is there and `force` is not given.
        IntegrityError: the store's bytes are damaged; no file appears.
        UnavailableError: the disk has too little room.
    """
    check_target([target], blob.size_bytes, force=force)
    found = hashlib.sha256()
    with store.open(blob.digest) as reader, replacing(target) as draft:
        for block in reader.stream():
            found.update(block)
            draft.write(block)
            progress(len(block))
        if found.hexdigest() != blob.digest.hex:
            raise IntegrityError(f"{blob.digest} reads back as sha256:{found.hexdigest()}")


def shares(store: BlobStore, listed: Iterable[NamedBlob]) -> dict[str, GroupShare]:
    """What each name takes; what is shared with names that are not listed counts as well."""
    groups = {named.name: [named.blob.digest] for named in store.names.list()}
    every = store.take_stock().shares(groups)
    return {named.name: every[named.name] for named in listed if named.name in every}


def count_folder(folder: FolderStore, progress: Progress) -> Stocktaking:
    """What the store takes, by name; a family is what has the first part of its name in common."""
    owned = {named.name: [named.blob.digest] for named in folder.store.names.list()}
    families: dict[str, list[str]] = {}
    for name in owned:
        families.setdefault(name.partition("/")[0], []).append(name)
    return count(folder.store, owned, families, progress)


def damage_of(store: BlobStore, damaged: Iterable[tuple[Digest, str]]) -> list[Damage]:
    """Damaged blobs with the names they have in the store."""
    named_by: dict[Digest, list[NamedBlob]] = {}
    for named in store.names.survey()[0]:
        named_by.setdefault(named.blob.digest, []).append(named)
    return [_damage(digest, reason, named_by.get(digest, [])) for digest, reason in damaged]


def _damage(digest: Digest, reason: str, named: list[NamedBlob]) -> Damage:
    size = named[0].blob.size_bytes if named else None
    return Damage(digest, reason, (), tuple(one.name for one in named), size)
