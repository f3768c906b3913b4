"""Which work on one store excludes which, across threads and processes: flock on small files.

Two locks, always taken in this order:

- `maintenance` (exclusive): one optimize, remake, gc, export or import at a time, for as long as
  it takes.
- `blobs`: shared and brief by whoever makes a blob known or wanted again (put, touch),
  exclusive and brief by gc around "still unwanted? then delete".

The kernel drops a lock when its holder dies, however it dies.

The length of the file `maintenance` counts its holders: who finds it as long as it was after
the own turn knows that nobody rewrote or removed anything since. A file can grow, unwritten, on a
full disk too, where gc must work.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cairn.errors import UnavailableError

_LOOK_S = 0.02  # between blobs the lock is free for milliseconds; each look takes microseconds


class Locks:
    """The locks of one store, as files in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnavailableError(f"cannot use {folder}: {error.strerror}") from error

    @contextmanager
    def maintenance(self, meanwhile: Callable[[], None] | None = None) -> Iterator[int]:
        """Be the only one who rewrites or removes; waits for its turn, and gives its number.

        An export may take hours: `meanwhile` is called now and then while others have theirs, and
        may raise to give up.
        """
        with self._held("maintenance", fcntl.LOCK_EX, meanwhile) as descriptor:
            try:
                turn = os.fstat(descriptor).st_size + 1
                os.ftruncate(descriptor, turn)
            except OSError as error:
                raise UnavailableError(f"cannot lock the store: {error.strerror}") from error
            yield turn

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
    def _held(
        self, name: str, kind: int, meanwhile: Callable[[], None] | None = None
    ) -> Iterator[int]:
        try:
            descriptor = os.open(self._folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise UnavailableError(f"cannot lock the store: {error.strerror}") from error
        try:
            if meanwhile is None:
                fcntl.flock(descriptor, kind)
            else:
                _take(descriptor, kind, meanwhile)
            yield descriptor
        finally:
            os.close(descriptor)


def _take(descriptor: int, kind: int, meanwhile: Callable[[], None]) -> None:
    """Lock by trying again and again: a wait in the kernel goes on whatever signals come."""
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            meanwhile()
            time.sleep(_LOOK_S)
        else:
            return
