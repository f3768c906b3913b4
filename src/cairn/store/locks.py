"""Which work on one store excludes which, across threads and processes: flock on small files.

Two locks, always taken in this order:

- `maintenance` (exclusive): one optimize or gc at a time, for as long as it takes.
- `blobs`: shared and brief by whoever makes a blob known or wanted again (put, touch),
  exclusive and brief by gc around "still unwanted? then delete".

The kernel drops a lock when its holder dies, however it dies.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cairn.errors import UnavailableError


class Locks:
    """The locks of one store, as files in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnavailableError(f"cannot use {folder}: {error.strerror}") from error

    @contextmanager
    def maintenance(self) -> Iterator[None]:
        """Be the only one who rewrites or removes; waits for its turn."""
        with self._held("maintenance", fcntl.LOCK_EX):
            yield

    @contextmanager
    def adding(self) -> Iterator[None]:
        """Make blobs known or wanted while no sweep decides; waits for milliseconds."""
        with self._held("blobs", fcntl.LOCK_SH):
            yield

    @contextmanager
    def sweeping(self) -> Iterator[None]:
        """Decide and delete while nobody adds; hold it briefly."""
        with self._held("blobs", fcntl.LOCK_EX):
            yield

    @contextmanager
    def _held(self, name: str, kind: int) -> Iterator[None]:
        try:
            descriptor = os.open(self._folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise UnavailableError(f"cannot lock the store: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, kind)
            yield
        finally:
            os.close(descriptor)
