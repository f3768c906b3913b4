"""The files of a model on this machine: which there are, what else lies there, their digests.

Nothing is followed out of the folder: a link in place of a file is no file, unless the caller
wants links to files followed, as the cache of Hugging Face clients is made of them.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from blake3 import blake3

from cairn.errors import IntegrityError, NotFoundError, RequestError

BLOCK_BYTES = 4 << 20
GIT_FOLDER = ".git"  # listed as one thing: git's own files are not the model's


@dataclass(frozen=True, slots=True)
class Listing:
    """Regular files by path in the model, and what else is there: path to what it is."""

    files: Mapping[str, Path]
    others: Mapping[str, str] = field(default_factory=dict)
    has_git_folder: bool = False

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return sum(path.stat().st_size for path in self.files.values())


class _Hash(Protocol):
    def update(self, data: memoryview, /) -> object: ...
    def hexdigest(self) -> str: ...


def list_model(root: Path, *, follow_links: bool, besides: Path) -> Listing:
    """What a model is made of: a folder with all below it, or a single file.

    `besides` is the bundle, which is never part of what it signs.

    Raises:
        NotFoundError: there is nothing. RequestError: a folder cannot be listed.
    """
    if root.is_file():
        what = _what_else(root, follow_links=follow_links)
        return Listing({root.name: root}) if what is None else Listing({}, {root.name: what})
    if not root.is_dir():
        raise NotFoundError(f"{root}: no such file or folder")
    bundle = _place(besides)
    files: dict[str, Path] = {}
    others: dict[str, str] = {}
    for path in _below(root):
        name = path.relative_to(root).as_posix()
        what = _what_else(path, follow_links=follow_links)
        if what is not None:
            others[name] = what
        elif _place(path) != bundle:
            files[name] = path
    return Listing(files, others, (root / GIT_FOLDER).is_dir())


def hash_files(
    files: Mapping[str, Path],
    algorithm: str,
    *,
    follow_links: bool,
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, str]:
    """Digest in hex of each file.

    Raises:
        IntegrityError: a file was replaced by something else meanwhile.
        OSError: it cannot be read.
    """
    # A link or pipe put here since it was listed must neither be followed nor waited for.
    flags = os.O_RDONLY | os.O_NONBLOCK | (0 if follow_links else os.O_NOFOLLOW)
    return {name: _hash_file(path, algorithm, flags, progress) for name, path in files.items()}


def _below(root: Path) -> Iterator[Path]:
    for folder, subfolders, names in os.walk(root, onerror=_refuse):
        here = Path(folder)
        if here == root and GIT_FOLDER in subfolders and not (here / GIT_FOLDER).is_symlink():
            subfolders.remove(GIT_FOLDER)
        links = [name for name in subfolders if (here / name).is_symlink()]
        subfolders[:] = sorted(set(subfolders) - set(links))
        yield from (here / name for name in sorted([*names, *links]))


def _refuse(error: OSError) -> None:
    raise RequestError(f"{error.filename}: cannot be listed: {error.strerror}")


def _what_else(path: Path, *, follow_links: bool) -> str | None:
    """What a path is if it is no regular file; None if it is one."""
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        if follow_links and path.is_file():
            return None
        return "symbolic link" if path.exists() else "symbolic link that leads nowhere"
    return None if stat.S_ISREG(mode) else "pipe, socket or device"


def _place(path: Path) -> Path:
    """Where a path is, whatever its folder is called by; a link to the same file is elsewhere."""
    return path.parent.resolve() / path.name


def _hash_file(path: Path, algorithm: str, flags: int, progress: Callable[[int], None]) -> str:
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if path.is_symlink():
            raise IntegrityError(f"{path}: became a symbolic link meanwhile") from None
        raise RequestError(f"{path}: cannot be read: {error.strerror}") from None
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise IntegrityError(f"{path}: became something else than a file meanwhile")
        state, buffer = _new_hash(algorithm), memoryview(bytearray(BLOCK_BYTES))
        while count := file.readinto(buffer):
            state.update(buffer[:count])
            progress(count)
    return state.hexdigest()


def _new_hash(algorithm: str) -> _Hash:
    if algorithm == "blake3":
        return blake3(max_threads=blake3.AUTO)
    return hashlib.new(algorithm)
