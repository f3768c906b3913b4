"""Places on this machine that may hold copies of lost blobs: stores, folders, family files."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from cairn.domain import Digest
from cairn.errors import EntryNotFoundError, NotFoundError, RequestError, UnavailableError
from cairn.formats import File
from cairn.store import BlobStore, FamilyContents, FamilyFile, open_local_store
from cairn.workflows.damage import Damage
from cairn.workflows.local_files import folder_files
from cairn.workflows.repair import Origin

_BLOCK_BYTES = 1 << 20


def local_origin(path: Path, own: Path) -> Origin:
    """A folder, which may be a store, a hub's data directory or files; or a family file.

    Raises:
        EntryNotFoundError: nothing is there.
        RequestError: it is the store that lies in `own` and is to be healed.
        UntrustedDataError: the file is no family file, or a damaged one.
        UnavailableError: it was written by a newer Cairn.
    """
    if not path.exists():
        raise EntryNotFoundError(f"{path}: no such file or folder")
    if not path.is_dir():
        return FamilyOrigin(path)
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


class FamilyOrigin:
    """What `cairn store export` wrote."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._contents = FamilyContents(FamilyFile(path))
        self._blobs = {blob.digest: blob for blob in self._contents.blobs}

    def copies(self, damage: Damage) -> Iterator[Iterator[bytes]]:
        """See `Origin.copies`: at most one."""
        blob = self._blobs.get(damage.digest)
        if blob is None:
            raise NotFoundError("it does not hold this blob")
        with self._contents.open(blob) as reader:
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
