"""What a commit does to a tree: put a file, delete a file, delete a folder."""

from dataclasses import dataclass

from cairn.catalog.gitobjects import lfs_oid, lfs_pointer_size
from cairn.domain import Blob, check_path, is_commit_id
from cairn.errors import IntegrityError, NamingError


@dataclass(frozen=True, slots=True)
class PutFile:
    """Add or replace one file.

    `oid` is git's id of the content, or of the LFS pointer when `lfs`.

    Raises:
        NamingError: the path or the id has the wrong form.
        IntegrityError: `lfs` and `oid` is not the id of the blob's own pointer.
    """

    path: str
    blob: Blob
    oid: str
    lfs: bool = False
    pointer_size_bytes: int = 0

    def __post_init__(self) -> None:
        check_path(self.path)
        if not is_commit_id(self.oid):
            raise NamingError(f"{self.path}: {self.oid[:80]!r} is not a git object id")
        if self.lfs and self.oid != lfs_oid(self.blob):
            raise IntegrityError(f"{self.path}: {self.oid} is not the id of the LFS pointer")

    @classmethod
    def regular(cls, path: str, blob: Blob, oid: str) -> "PutFile":
        """A file git would hold itself; `oid` from `gitobjects.blob_oid`."""
        return cls(path, blob, oid)

    @classmethod
    def large(cls, path: str, blob: Blob) -> "PutFile":
        """A file git would hold as an LFS pointer."""
        pointer_size = lfs_pointer_size(blob.size_bytes)
        return cls(path, blob, lfs_oid(blob), lfs=True, pointer_size_bytes=pointer_size)


@dataclass(frozen=True, slots=True)
class DeleteFile:
    """Remove a file; on a directory's path, everything below it (as the HF hub does)."""

    path: str

    def __post_init__(self) -> None:
        check_path(self.path)


@dataclass(frozen=True, slots=True)
class DeleteFolder:
    """Remove a directory and everything below it; one trailing slash is ignored."""

    path: str

    def __post_init__(self) -> None:
        if self.path.endswith("/"):
            object.__setattr__(self, "path", self.path[:-1])
        check_path(self.path)


Change = PutFile | DeleteFile | DeleteFolder
