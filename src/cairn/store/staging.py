"""Scratch objects that replicas share: Xet xorbs and LFS parts on their way to a blob."""

import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from cairn.domain import Source
from cairn.errors import EntryNotFoundError, RequestError
from cairn.store.backends import Backend, ObjectNotFoundError, OpenObject
from cairn.store.keys import STAGING

_SEGMENT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}\Z")


class StagedSource:
    """A staged object opened for reading: a `Source`."""

    def __init__(self, name: str, stored: OpenObject) -> None:
        self.name = name
        self.size_bytes = stored.size_bytes
        self._stored = stored

    def read_at(self, offset: int, length: int) -> bytes:
        """Bytes `offset .. offset + length`, cut short only by the end of the object."""
        return self._stored.read_at(offset, length)


class Staging:
    """Objects under a scope (an upload, a repo) and a name; never part of a blob.

    Scopes and names are 1 to 128 of `A-Za-z0-9._-`, not starting with a dot; anything else
    raises RequestError.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def put(self, scope: str, name: str, chunks: Iterable[bytes | memoryview]) -> int:
        """Keep an object, atomically and durably; returns its bytes.

        Putting a name again replaces it.

        Raises:
            UnavailableError: the disk is full or failing.
        """
        key = _key(scope, name)
        draft = self._backend.draft()
        try:
            for chunk in chunks:
                draft.write(chunk)
            draft.replace(key)
            return draft.size_bytes
        finally:
            draft.discard()

    @contextmanager
    def open(self, scope: str, name: str) -> Iterator[Source]:
        """The object as a source, for the length of a `with` block.

        Raises:
            EntryNotFoundError: it was never put, or has expired.
        """
        try:
            stored = self._backend.open(_key(scope, name))
        except ObjectNotFoundError:
            raise _missing(scope, name) from None
        with stored:
            yield StagedSource(f"{scope}/{name}", stored)

    def has(self, scope: str, name: str) -> bool:
        """Whether the object is there."""
        return self._backend.exists(_key(scope, name))

    def size_bytes(self, scope: str, name: str) -> int:
        """Its bytes.

        Raises:
            EntryNotFoundError: it was never put, or has expired.
        """
        try:
            return self._backend.info(_key(scope, name)).size_bytes
        except ObjectNotFoundError:
            raise _missing(scope, name) from None

    def names(self, scope: str) -> list[str]:
        """The names in a scope, sorted; empty for one nobody used."""
        prefix = f"{STAGING}{_segment(scope)}/"
        return sorted(info.key[len(prefix) :] for info in self._backend.list(prefix))

    def drop(self, scope: str) -> None:
        """Remove every object of a scope."""
        for name in self.names(scope):
            self._backend.delete(_key(scope, name))

    def expire(self, older_than_s: float) -> int:
        """Remove objects put longer ago than this; returns how many."""
        before = time.time() - older_than_s
        old = [info.key for info in self._backend.list(STAGING) if info.modified_s <= before]
        return sum(self._backend.delete(key) for key in old)


def _segment(text: str) -> str:
    if not _SEGMENT.match(text):
        raise RequestError(f"{text[:80]!r} cannot name a staged object")
    return text


def _key(scope: str, name: str) -> str:
    return f"{STAGING}{_segment(scope)}/{_segment(name)}"


def _missing(scope: str, name: str) -> EntryNotFoundError:
    return EntryNotFoundError(f"nothing staged as {scope}/{name}: it expired or was never sent")
