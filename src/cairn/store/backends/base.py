"""What the store asks of a place that keeps objects: whole, immutable, under string keys.

A key is one or more segments of `[A-Za-z0-9_-][A-Za-z0-9._-]*` joined by `/`. An object
appears whole or not at all; what `keep` or `replace` acknowledged survives a power cut.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from cairn.errors import NotFoundError, RequestError

_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*\Z")
MAX_KEY_BYTES = 512


class ObjectNotFoundError(NotFoundError):
    """The backend holds no object under this key."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object's key, bytes, and when it was last written or touched (Unix seconds)."""

    key: str
    size_bytes: int
    modified_s: float


class Draft(Protocol):
    """An object being written: invisible until kept, gone if it never is."""

    @property
    def size_bytes(self) -> int:
        """Bytes written so far."""
        ...

    def write(self, data: bytes | memoryview) -> None:
        """Append all of `data`.

        Raises:
            UnavailableError: the place is full or failing.
        """
        ...

    def sync(self) -> None:
        """Make the bytes durable ahead of `keep`, which then takes no time."""
        ...

    def keep(self, key: str) -> bool:
        """Durably create the object; False (and discarded) if the key is taken already."""
        ...

    def replace(self, key: str) -> None:
        """Durably create the object, or replace the one under this key in one step."""
        ...

    def discard(self) -> None:
        """Forget the bytes; does nothing after `keep` or `replace`."""
        ...


class OpenObject(Protocol):
    """An object pinned for reading: deleting its key meanwhile does not disturb it."""

    @property
    def size_bytes(self) -> int:
        """Total bytes."""
        ...

    def read_at(self, offset: int, length: int) -> bytes:
        """Bytes `offset .. offset + length`, cut short only by the end of the object."""
        ...

    def read_into(self, offset: int, out: memoryview) -> None:
        """Fill `out` with the bytes from `offset` on.

        Raises:
            IntegrityError: the object ends before `out` is full.
            UnavailableError: the place is failing.
        """
        ...

    def close(self) -> None:
        """Let go; may be called twice."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Backend(Protocol):
    """A place that keeps objects; safe to use from several threads and processes."""

    def draft(self) -> Draft:
        """Begin an object whose key is not known yet."""
        ...

    def open(self, key: str) -> OpenObject:
        """Pin an object for reading.

        Raises:
            ObjectNotFoundError: there is none.
        """
        ...

    def info(self, key: str) -> ObjectInfo:
        """Size and time of an object.

        Raises:
            ObjectNotFoundError: there is none.
        """
        ...

    def exists(self, key: str) -> bool:
        """Whether there is an object under this key."""
        ...

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Objects whose key starts with the folder `prefix` (ends in `/`), in no order."""
        ...

    def delete(self, key: str) -> bool:
        """Remove an object; False if there was none."""
        ...

    def touch(self, key: str) -> bool:
        """Set an object's time to now; False if there is none. True also says it is durable."""
        ...

    def local_path(self, key: str) -> Path | None:
        """The object as a local file if this backend has one; the caller must not change it."""
        ...

    def sweep_drafts(self, older_than_s: float) -> int:
        """Remove drafts left by dead writers and older than this; returns their bytes."""
        ...


def check_key(key: str) -> str:
    """Return `key` if it has the form described above.

    Raises:
        RequestError: it has not.
    """
    if len(key) > MAX_KEY_BYTES or not _KEY.match(key):
        raise RequestError(f"{key[:120]!r} cannot name a stored object")
    return key


def replace_bytes(backend: Backend, key: str, data: bytes) -> None:
    """Durably write a small object, or replace the one under this key."""
    draft = backend.draft()
    try:
        draft.write(data)
        draft.replace(key)
    finally:
        draft.discard()


def put_bytes(backend: Backend, key: str, data: bytes) -> bool:
    """Durably create a small object; False if the key is taken already."""
    draft = backend.draft()
    try:
        draft.write(data)
        return draft.keep(key)
    finally:
        draft.discard()


def read_all(backend: Backend, key: str) -> bytes:
    """A whole small object.

    Raises:
        ObjectNotFoundError: there is none.
    """
    with backend.open(key) as stored:
        return stored.read_at(0, stored.size_bytes)
