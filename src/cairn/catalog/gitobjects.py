r"""How git names content: blob, tree and commit ids, and pointers that stand for large files.

An object id is SHA-1 over `"<kind> <size>\0"` and the object's bytes
(https://git-scm.com/book/en/v2/Git-Internals-Git-Objects). A tree is its entries in git's
order, each `"<mode> <name>\0"` and 20 raw bytes of id. Ids made here equal those the git
binary makes from the same content, so a revision can be compared with any clone of it.
Trust in content never rests on SHA-1: blobs are kept and checked by SHA-256.

Pure: bytes in, ids out.
"""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from cairn.domain import Blob
from cairn.errors import IntegrityError, RequestError

FILE_MODE = b"100644"
TREE_MODE = b"40000"
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

# https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md: version first, other keys sorted.
_POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n"
_POINTER_FIXED_BYTES = len(_POINTER.format("0" * 64, ""))


def _sha1(data: bytes = b"") -> "hashlib._Hash":
    return hashlib.sha1(data, usedforsecurity=False)


class BlobOid:
    """The git id of a file whose bytes arrive in pieces; the size must be known beforehand."""

    def __init__(self, size_bytes: int) -> None:
        self._hash = _sha1(b"blob %d\x00" % size_bytes)
        self._missing = size_bytes

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes in."""
        self._hash.update(data)
        self._missing -= len(data) if not isinstance(data, memoryview) else data.nbytes

    def hexdigest(self) -> str:
        """The id, 40 lower-case hex digits.

        Raises:
            IntegrityError: more or fewer bytes came than announced.
        """
        if self._missing:
            word = "missing" if self._missing > 0 else "too many"
            raise IntegrityError(f"git blob id: {abs(self._missing)} bytes {word}")
        return self._hash.hexdigest()


def blob_oid(size_bytes: int) -> BlobOid:
    """An incremental hasher for a file of `size_bytes` bytes."""
    return BlobOid(size_bytes)


def blob_oid_of(data: bytes) -> str:
    """The git id of a file held in memory."""
    return object_oid(b"blob", data)


def object_oid(kind: bytes, data: bytes) -> str:
    """The git id of an object of this kind (`blob`, `tree`, `commit`) with these bytes."""
    return _sha1(b"%s %d\x00%s" % (kind, len(data), data)).hexdigest()


def lfs_pointer(blob: Blob) -> bytes:
    """The pointer file git keeps in place of a large file (git-lfs specification v1)."""
    return _POINTER.format(blob.digest.hex, blob.size_bytes).encode()


def lfs_pointer_size(size_bytes: int) -> int:
    """Bytes of the pointer to a file of `size_bytes` bytes."""
    return _POINTER_FIXED_BYTES + len(str(size_bytes))


def lfs_oid(blob: Blob) -> str:
    """The git id under which a large file enters a tree: that of its pointer."""
    return blob_oid_of(lfs_pointer(blob))


class TreeEntry(NamedTuple):
    """One line of a tree: a name, the raw 20-byte id, and whether it is a directory."""

    name: bytes
    oid: bytes
    is_directory: bool


def tree_sort_key(name: bytes, *, is_directory: bool) -> bytes:
    """What git compares entries of a tree by: directories sort as if their name ended in `/`."""
    return name + b"/" if is_directory else name


def tree_object(entries: Iterable[TreeEntry]) -> bytes:
    """The bytes of a tree, entries in any order."""
    ordered = sorted(entries, key=lambda e: tree_sort_key(e.name, is_directory=e.is_directory))
    return b"".join(
        b"%s %s\x00%s" % (TREE_MODE if e.is_directory else FILE_MODE, e.name, e.oid)
        for e in ordered
    )


def tree_oid(entries: Iterable[TreeEntry]) -> str:
    """The git id of a directory with these entries."""
    return object_oid(b"tree", tree_object(entries))


def identity(name: str, email: str) -> str:
    """`name <email>` with the characters git does not allow in either taken out."""
    clean_name = _identity_part(name)
    return f"{clean_name} <{_identity_part(email)}>"


def is_identity(text: str) -> bool:
    """Whether `identity` can have made this: nothing in it ends the line it stands in."""
    name, bracket, email = text.removesuffix(">").partition(" <")
    return bool(bracket) and identity(name, email) == text


def _identity_part(text: str) -> str:
    """Drop `<`, `>` and control characters, and trim git's crud (ident.c) from both ends."""
    kept = "".join(c for c in text if c not in "<>" and ord(c) >= 0x20 and ord(c) != 0x7F)
    return kept.strip(" .,:;\"'\\")


def commit_message(title: str, description: str) -> str:
    """Title, empty line, description; exactly one newline at the end.

    Raises:
        RequestError: the text holds a NUL character or lone surrogates, or the title is empty.
    """
    if not title.strip():
        raise RequestError("a commit needs a title: say in a line what it changes")
    text = f"{title}\n\n{description}" if description else title
    if "\x00" in text:
        raise RequestError("a commit message cannot contain NUL characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RequestError("the commit message is not valid Unicode (lone surrogate)") from None
    return text.rstrip("\n") + "\n"


def commit_object(
    tree: str, parents: Iterable[str], author: str, when: datetime, message: str
) -> bytes:
    """The bytes of a commit whose author is also its committer.

    Args:
        tree: git tree id, hex.
        parents: commit ids, hex.
        author: as `identity` gives it.
        when: aware; git keeps whole seconds, written here in UTC.
        message: as `commit_message` gives it.
    """
    stamp = f"{author} {int(when.astimezone(UTC).timestamp())} +0000"
    lines = [f"tree {tree}", *(f"parent {p}" for p in parents)]
    lines += [f"author {stamp}", f"committer {stamp}", "", message]
    return "\n".join(lines).encode()


def commit_oid(tree: str, parents: Iterable[str], author: str, when: datetime, message: str) -> str:
    """The git id of a commit; arguments as for `commit_object`."""
    return object_oid(b"commit", commit_object(tree, parents, author, when, message))
