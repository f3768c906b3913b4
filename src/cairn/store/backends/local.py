"""Objects as files of a local folder: temporary file, fsync, hard link, fsync of the folder.

`link` creates a name atomically and fails if it is taken, on every POSIX file system that
has hard links (link(2)); `rename` replaces one. A draft is locked (flock) by its writer
for as long as the writer lives, so a sweep can tell leftovers from work in progress on
any number of processes and containers that share the folder.
"""

import errno
import fcntl
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from cairn.errors import IntegrityError, UnavailableError
from cairn.store.backends.base import ObjectInfo, ObjectNotFoundError, check_key

DRAFTS = "tmp"
Made = TypeVar("Made")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class LocalBackend:
    """A folder on a local (or POSIX network) file system."""

    def __init__(self, root: Path) -> None:
        """`root` is created if it is not there.

        Raises:
            UnavailableError: it cannot be.
        """
        self.root = root
        self._drafts = root / DRAFTS
        try:
            self._drafts.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnavailableError(f"cannot use {root} as a store: {error.strerror}") from error

    def _path(self, key: str) -> Path:
        return self.root / check_key(key)

    def draft(self) -> "LocalDraft":
        """Begin an object whose key is not known yet."""
        return LocalDraft(self.root, self._drafts)

    def open(self, key: str) -> "LocalObject":
        """Pin an object for reading."""
        try:
            return LocalObject(os.open(self._path(key), os.O_RDONLY | os.O_CLOEXEC), key)
        except (FileNotFoundError, NotADirectoryError):
            raise ObjectNotFoundError(f"the store has no object {key}") from None
        except OSError as error:
            raise _failing(f"open {key} of the store", error) from error

    def info(self, key: str) -> ObjectInfo:
        """Size and time of an object."""
        try:
            status = self._path(key).stat()
        except (FileNotFoundError, NotADirectoryError):
            raise ObjectNotFoundError(f"the store has no object {key}") from None
        except OSError as error:
            raise _failing(f"look at {key} of the store", error) from error
        return ObjectInfo(key, status.st_size, status.st_mtime)

    def exists(self, key: str) -> bool:
        """Whether there is an object under this key."""
        with _naming(f"look at {key} of the store"):
            return self._path(key).is_file()

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Objects under a folder, in no order; ones that vanish meanwhile are left out."""
        yield from _walk(self.root / check_key(prefix.rstrip("/")), prefix.rstrip("/"))

    def delete(self, key: str) -> bool:
        """Remove an object; False if there was none."""
        path = self._path(key)
        try:
            path.unlink()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise _failing(f"remove {key} from the store", error) from error
        if key.count("/") > 1:  # `staging/<scope>/<name>`: do not leave empty folders behind
            with suppress(OSError):
                path.parent.rmdir()
        return True

    def touch(self, key: str) -> bool:
        """Set an object's time to now; False if there is none.

        Also syncs its folder: whoever linked the object may not have got so far yet.
        """
        path = self._path(key)
        try:
            os.utime(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise _failing(f"write to {key} of the store", error) from error
        _sync_folder(path.parent)
        return True

    def local_path(self, key: str) -> Path | None:
        """The file of an object that exists."""
        return self._path(key) if self.exists(key) else None

    def sweep_drafts(self, older_than_s: float) -> int:
        """Remove drafts that no living process holds and that are older than this."""
        before = time.time() - older_than_s
        freed = 0
        with _naming("clear drafts"):
            for entry in list(os.scandir(self._drafts)):
                with suppress(FileNotFoundError):
                    if entry.stat().st_mtime <= before:
                        freed += _remove_if_abandoned(entry.path)
        return freed


class LocalDraft:
    """A temporary file, locked while its writer lives."""

    def __init__(self, root: Path, folder: Path) -> None:
        self._root = root
        self._path, self._descriptor = _create_locked(folder)
        self._open = True
        self._synced = False
        self.size_bytes = 0

    def write(self, data: bytes | memoryview) -> None:
        """Append all of `data`."""
        view = memoryview(data).cast("B")
        self._synced = False
        try:
            while view:
                written = os.write(self._descriptor, view)
                self.size_bytes += written
                view = view[written:]
        except OSError as error:
            raise _failing("write to the store", error) from error

    def sync(self) -> None:
        """Make the bytes durable ahead of `keep`."""
        if not self._synced:
            _sync(self._descriptor)
            self._synced = True

    def keep(self, key: str) -> bool:
        """Durably create the object; False (and discarded) if the key is taken already.

        The folder is synced in both cases: whoever created the key may not have got so far.
        """
        self.sync()
        target = self._root / check_key(key)
        created = _in_folder(target, lambda: self._link(target))
        self.discard()
        _sync_folder(target.parent)
        return created

    def _link(self, target: Path) -> bool:
        try:
            os.link(self._path, target)
        except FileExistsError:
            return False
        return True

    def replace(self, key: str) -> None:
        """Durably create the object, or replace the one under this key in one step."""
        self.sync()
        target = self._root / check_key(key)
        _in_folder(target, lambda: self._path.replace(target))
        self._close()
        _sync_folder(target.parent)

    def discard(self) -> None:
        """Forget the bytes; does nothing after `keep` or `replace`."""
        if self._open:
            with suppress(OSError):  # gone, or the disk fails: a sweep takes it then
                self._path.unlink()
            self._close()

    def _close(self) -> None:
        self._open = False
        os.close(self._descriptor)


class LocalObject:
    """An open file: stays readable after its name is gone."""

    def __init__(self, descriptor: int, key: str) -> None:
        self._descriptor: int | None = descriptor
        self._key = key
        self.size_bytes = os.fstat(descriptor).st_size

    def read_at(self, offset: int, length: int) -> bytes:
        """Bytes `offset .. offset + length`, cut short only by the end of the object."""
        if self._descriptor is None:
            raise ValueError("read from a closed object")
        wanted = min(length, self.size_bytes - offset)
        if wanted <= 0:
            return b""
        data = self._pread(wanted, offset)
        while len(data) < wanted:  # a signal or the kernel's 2 GiB limit per call
            more = self._pread(wanted - len(data), offset + len(data))
            if not more:
                raise IntegrityError(f"{self._key} shrank while being read at byte {offset}")
            data += more
        return data

    def read_into(self, offset: int, out: memoryview) -> None:
        """Fill `out` with the bytes from `offset` on; see `OpenObject.read_into`."""
        if self._descriptor is None:
            raise ValueError("read from a closed object")
        at = 0
        while at < len(out):
            try:
                count = os.preadv(self._descriptor, [out[at:]], offset + at)
            except OSError as error:
                raise _failing(f"read byte {offset + at} of {self._key}", error) from error
            if not count:
                raise IntegrityError(f"{self._key} ends at byte {offset + at}")
            at += count

    def _pread(self, length: int, offset: int) -> bytes:
        assert self._descriptor is not None
        try:
            return os.pread(self._descriptor, length, offset)
        except OSError as error:
            raise _failing(f"read byte {offset} of {self._key}", error) from error

    def close(self) -> None:
        """Let go; may be called twice."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _walk(folder: Path, prefix: str) -> Iterator[ObjectInfo]:
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise _failing(f"list {prefix} of the store", error) from error
    for entry in entries:
        key = f"{prefix}/{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(folder / entry.name, key)
            continue
        try:
            status = entry.stat()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _failing(f"look at {key} of the store", error) from error
        yield ObjectInfo(key, status.st_size, status.st_mtime)


def _failing(doing: str, error: OSError) -> UnavailableError:
    """What the system said while the store was doing something."""
    hint = " (free some space or run `cairn store gc`)" if error.errno in _FULL else ""
    return UnavailableError(f"cannot {doing}: {os.strerror(error.errno or 0)}{hint}")


@contextmanager
def _naming(doing: str) -> Iterator[None]:
    """Turn what the system says into an error of ours."""
    try:
        yield
    except OSError as error:
        raise _failing(doing, error) from error


def _create_locked(folder: Path) -> tuple[Path, int]:
    """A new temporary file and its locked descriptor."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    while True:
        path = folder / f"{os.getpid()}-{secrets.token_hex(8)}"
        try:
            descriptor = os.open(path, flags, 0o644)
        except OSError as error:
            raise _failing("write to the store", error) from error
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return path, descriptor
        os.close(descriptor)  # a sweep took the file between creation and lock


def _remove_if_abandoned(path: str) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        status = os.fstat(descriptor)
        os.unlink(path)  # noqa: PTH108 - scandir gives a string
    except BlockingIOError:
        return 0
    finally:
        os.close(descriptor)
    # A draft that was linked and not yet unlinked when its writer died frees nothing.
    return status.st_size if status.st_nlink == 1 else 0


def _in_folder(target: Path, act: Callable[[], Made]) -> Made:
    """Run `act`, creating the folder of `target` when it is not there (or vanishes again)."""
    for _ in range(100):
        with _naming("write to the store"):
            try:
                return act()
            except FileNotFoundError:
                _make_folder(target.parent)
    raise UnavailableError(f"the folder {target.parent} keeps vanishing")


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync_folder(folder.parent)


def _sync(descriptor: int) -> None:
    """Bytes to the medium; macOS needs F_FULLFSYNC for that (its fsync(2))."""
    full = getattr(fcntl, "F_FULLFSYNC", None)
    try:
        if full is not None:
            fcntl.fcntl(descriptor, full)
        else:
            os.fsync(descriptor)
    except OSError as error:
        raise _failing("make data of the store durable", error) from error


def _sync_folder(folder: Path) -> None:
    with _naming("make a folder of the store durable"):
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # emptied and removed again: nothing to keep
            return
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
