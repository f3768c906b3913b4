"""The files of a folder on this machine, as a checkpoint's files."""

import os
from functools import partial
from pathlib import Path

from cairn.errors import EntryNotFoundError, RequestError
from cairn.formats import File, FileSource

_IGNORED_FOLDERS = frozenset((".git", ".cache", "__pycache__"))


def local_file(path: Path, name: str, root: Path) -> File:
    """The file at `path` under the name it has in the checkpoint, whose folder is `root`.

    Raises:
        EntryNotFoundError: there is nothing, or a link that leads nowhere.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise EntryNotFoundError(f"{path}: {error.strerror}") from None
    return File(size, partial(FileSource, path, name), leads_out=leads_out(path, root))


def folder_files(root: Path) -> dict[str, File]:
    """The regular files below a folder, by relative path.

    Links to files are followed, as the HF cache needs; links to folders are not, so there are
    no cycles.

    Raises:
        RequestError: a folder cannot be listed.
    """
    files: dict[str, File] = {}
    for folder, subfolders, names in os.walk(root, onerror=_refuse_folder):
        subfolders[:] = sorted(set(subfolders) - _IGNORED_FOLDERS)
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_file():
                relative = path.relative_to(root).as_posix()
                files[relative] = local_file(path, relative, root)
    return files


def leads_out(path: Path, root: Path) -> bool:
    """Whether `path` is reached through a link to somewhere outside the checkpoint.

    The HF cache keeps a revision as links from `snapshots/<commit>` into `blobs`: those stay.
    """
    real, top = path.resolve(), root.resolve()
    if real.is_relative_to(top):
        return False
    repo = top.parent.parent if top.parent.name == "snapshots" else None
    return repo is None or not real.is_relative_to(repo / "blobs")


def _refuse_folder(error: OSError) -> None:
    raise RequestError(f"{error.filename}: cannot be listed: {error.strerror}")
