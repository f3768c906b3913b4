"""The files of one checkpoint by relative path, each opened only when it has to be read."""

import posixpath
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

from cairn.domain import Source
from cairn.errors import MalformedError


@dataclass(frozen=True, slots=True)
class File:
    """A file that may be part of a checkpoint.

    `leads_out`: it is a link to somewhere outside; other files' references to it are not
    followed, or a checkpoint could name somebody's secrets as its weights.
    """

    size_bytes: int
    open: Callable[[], AbstractContextManager[Source]]
    leads_out: bool = False


Files = Mapping[str, File]
"""Every file of a checkpoint by its path relative to the checkpoint's folder, with `/`."""


def folder_of(path: str) -> str:
    """The folder a file lies in, with a trailing `/`; empty at the top."""
    return path[: path.rfind("/") + 1]


def beside(path: str, reference: str) -> str:
    """The path of the file that `path` names by `reference`, relative to its own folder.

    Raises:
        MalformedError: the reference is absolute, has `..` or anything else that could lead
            out of the checkpoint.
    """
    segments = reference.replace("\\", "/").split("/")
    if (
        not reference
        or "\0" in reference
        or any(part in ("", "..") or ":" in part for part in segments)
    ):
        raise MalformedError(
            f"refers to the file {reference[:200]!r}, which may lie outside the checkpoint",
            source=path,
            hint="Only files in the same folder or below it are followed",
        )
    return posixpath.normpath(folder_of(path) + "/".join(segments))


def part(files: Files, path: str, reference: str) -> tuple[str, File]:
    """The path and file that `path` names by `reference`, where it may be followed.

    Raises:
        MalformedError: it could lead out of the checkpoint, or is not there.
    """
    found = beside(path, reference)
    file = files.get(found)
    if file is None:
        raise MalformedError(f"the file {found[:200]!r} is missing", source=path)
    if file.leads_out:
        raise MalformedError(
            f"the file {found[:200]!r} is a link that leads out of the checkpoint", source=path
        )
    return found, file
