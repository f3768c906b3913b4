"""Places on this machine that may hold whole copies of lost blobs: stores, hubs' data, folders."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from cairn.domain import Digest
from cairn.errors import EntryNotFoundError, NotFoundError, RequestError, UnavailableError
from cairn.formats import File
from cairn.store import BlobStore, open_local_store
from cairn.workflows.damage import Damage
from cairn.workflows.local_files import folder_files
from cairn.workflows.repair import Origin

_BLOCK_BYTES = 1 << 20


def local_origin(path: Path, own: Path) -> Origin:
    """What lies in a folder: a store, a hub's data directory, or files.

    Raises:
        EntryNotFoundError: no folder is there.
        RequestError: it is the store that lies in `own` and is to be healed.
        UnavailableError: the store in it was written by a newer Cairn.
    """
    if not path.is_dir():
        raise EntryNotFoundError(f"{path}: no such folder")
    for root in (path, path / "store"):
        if (root / "FORMAT").is_file():
            if root.samefile(own):
                raise RequestError(f"{path} is the store to repair: name another copy of it")
            return StoreOrigin(path, open_local_store(root))
    return FolderOrigin(path)


class StoreOrigin:
    """Another store, in whatever form that keeps a blob."""

    def __init__(self, path: Path, store: BlobStore) -> None:
        self.name = str(path)
        self._store = store

    def copies(self, damage: Damage) -> Iterator[Iterator[bytes]]:
        """See `Origin.copies`: at most one."""
        with self._store.open(damage.digest) as reader:
            yield reader.stream()


class FolderOrigin:
    """A folder of files; each of a wanted size is read once to know its digest."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._files = folder_files(path)
        self._digests: dict[str, Digest] = {}

    def copies(self, damage: Damage) -> Iterator[Iterator[bytes]]:
        """See `Origin.copies`."""
        found = False
        for name, file in self._files.items():
            fits = damage.size_bytes in (None, file.size_bytes)
            if fits and self._digest(name, file) == damage.digest:
                found = True
                yield _blocks(file)
        if not found:
            raise NotFoundError("no file in it has these bytes")

    def _digest(self, name: str, file: File) -> Digest | None:
        if name not in self._digests:
            digest = hashlib.sha256()
            for block in _blocks(file):
                digest.update(block)
            self._digests[name] = Digest.sha256(digest.hexdigest())
        return self._digests[name]


def _blocks(file: File) -> Iterator[bytes]:
    try:
        with file.open() as source:
            for at in range(0, source.size_bytes, _BLOCK_BYTES):
                yield source.read_at(at, _BLOCK_BYTES)
    except OSError as error:
        raise UnavailableError(f"{error.filename or 'a file'}: {error.strerror}") from error
