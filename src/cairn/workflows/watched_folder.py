"""What there is in a folder outside the hub: each file once per name, links only within it."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cairn.errors import MalformedError
from cairn.formats import FileSource
from cairn.workflows.scan import shown_path

Stamp = tuple[int, int, int, int, int]
"""Device, inode, bytes, modified and changed in nanoseconds: another one, and it may be another
file. The last of them cannot be set back by whoever writes the file."""

_BLOBS = "blobs"  # of the Hugging Face cache: files lie there, snapshots link to them


@dataclass(frozen=True, slots=True)
class WatchedFile:
    """A file under one name: `paths` lead to it, `real` is where it lies."""

    paths: tuple[str, ...]
    real: Path
    stamp: Stamp

    @property
    def name(self) -> str:
        """What loaders go by: the last part of its paths."""
        return self.paths[0].rpartition("/")[2]

    @property
    def size_bytes(self) -> int:
        """Its bytes."""
        return self.stamp[2]


@dataclass(slots=True)
class Listing:
    """The files of a folder, and what in it cannot be read, by path with the reason."""

    files: list[WatchedFile] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)


def list_folder(root: Path) -> Listing:
    """Everything below a folder, hidden files too. Nothing outside of it is looked at.

    A link to a file is followed if that lies in the folder; what vanishes meanwhile is left out.
    Of a file in a folder `blobs` that links elsewhere lead to, only the links count: they have the
    name that loaders go by.
    """
    top = Path(os.path.realpath(root))
    found = Listing()
    by_identity: dict[tuple[Stamp, str], list[tuple[str, Path]]] = {}
    for path, relative in _entries(top, found.unread):
        try:
            real = Path(os.path.realpath(path, strict=True)) if path.is_symlink() else path
            status = real.stat()
        except OSError as error:
            if path.is_symlink() and not isinstance(error, PermissionError):
                found.unread[relative] = "a link that leads nowhere"
            elif not isinstance(error, FileNotFoundError):
                found.unread[relative] = f"cannot be looked at: {error.strerror}"
            continue
        if not real.is_relative_to(top):
            found.unread[relative] = "a link that leads out of the folder, which is not followed"
        elif stat.S_ISDIR(status.st_mode):
            found.unread[relative] = "a link to a folder, which is not followed"
        elif not stat.S_ISREG(status.st_mode):
            found.unread[relative] = "neither a file nor a folder"
        else:
            name = relative.rpartition("/")[2]
            by_identity.setdefault((_stamp(status), name), []).append((relative, real))
    linked = {stamp for (stamp, _), places in by_identity.items() if not _are_blobs(places)}
    for (stamp, _), places in sorted(by_identity.items(), key=lambda item: item[1]):
        if stamp not in linked or not _are_blobs(places):
            paths = tuple(sorted(path for path, _ in places))
            found.files.append(WatchedFile(paths, places[0][1], stamp))
    return found


def opened(file: WatchedFile) -> FileSource:
    """The file that was listed, and no other that took its place since.

    Raises:
        FileNotFoundError: it is gone.
        OSError: it may not be read.
        MalformedError: it was written to, or is another one by now.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(file.real, flags)
    if _stamp(os.fstat(descriptor)) != file.stamp:
        os.close(descriptor)
        raise MalformedError("the file changed since it was listed", source=file.paths[0])
    return FileSource.of_descriptor(descriptor, file.paths[0])


def stamp_of(path: Path) -> Stamp | None:
    """The stamp of a file as it is now; None if it is gone."""
    try:
        return _stamp(path.stat(follow_symlinks=False))
    except OSError:
        return None


def _entries(top: Path, unread: dict[str, str]) -> Iterator[tuple[Path, str]]:
    """Files and links below a folder, with their paths relative to it."""
    unlisted: list[OSError] = []
    for folder, subfolders, names in os.walk(top, onerror=unlisted.append):
        for name in (*names, *(one for one in subfolders if Path(folder, one).is_symlink())):
            path = Path(folder, name)
            yield path, shown_path(path.relative_to(top).as_posix())
    for error in unlisted:
        if not isinstance(error, FileNotFoundError):
            place = Path(os.fsdecode(error.filename)).relative_to(top).as_posix()
            unread[shown_path(place)] = f"the folder cannot be listed: {error.strerror}"


def _are_blobs(places: list[tuple[str, Path]]) -> bool:
    return all(_BLOBS in path.split("/")[:-1] for path, _ in places)


def _stamp(status: os.stat_result) -> Stamp:
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )
