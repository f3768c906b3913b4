"""The verb scan: what every file of a file, a folder or a repo would do to whoever loads it."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import TYPE_CHECKING

from cairn.domain import Digest, FileReport, Place, ScanReport, Source
from cairn.errors import (
    EntryNotFoundError,
    IntegrityError,
    NotFoundError,
    RequestError,
    UntrustedDataError,
)
from cairn.formats import File, FileSource
from cairn.scanner import judging_version, report_of
from cairn.scanner.advisories import AdvisoryData
from cairn.scanner.evidence.base import Evidence, Unread
from cairn.workflows.external_data import checked
from cairn.workflows.local_files import leads_out

if TYPE_CHECKING:
    from cairn.domain import Actor, RepoId
    from cairn.workflows.house import House

_HASHED_AT_ONCE = 1 << 20

Gather = Callable[[Source], tuple[Evidence, ...]]
"""Takes a file apart: `scanner.gather`, or the same in a process of its own."""


@dataclass(frozen=True, slots=True)
class Unopened:
    """Something in a folder that is no file to be read, and why."""

    reason: str


Scannable = Mapping[str, File | Unopened]
"""Everything to be scanned, by path relative to the folder or repo."""


def scan(
    files: Scannable,
    gather: Gather,
    done: Callable[[int], None],
    advisories: AdvisoryData | None = None,
) -> ScanReport:
    """Scan files in the order of their paths; `done` takes the bytes of each when it is through.

    Nothing that is wrong with one file keeps the others from being scanned. Files are hashed only
    where one of their size is known to be bad.
    """
    known = advisories or AdvisoryData()
    reports = []
    for path, file in sorted(files.items()):
        reports.append(_report(path, file, gather, known, files))
        done(reports[-1].size_bytes)
    return ScanReport(judging_version(known), tuple(reports), known.version)


def _report(
    path: str, file: File | Unopened, gather: Gather, advisories: AdvisoryData, files: Scannable
) -> FileReport:
    if isinstance(file, Unopened):
        return _unread(path, 0, file.reason)
    try:
        with file.open() as source:
            digest = digest_of(source) if advisories.may_be_known(source.size_bytes) else None
            evidence = gather(source)
            evidence += tuple(checked(path, evidence, files))
            return report_of(path, source.size_bytes, evidence, advisories, digest)
    except (RequestError, NotFoundError, UntrustedDataError, OSError) as error:
        return _unread(path, file.size_bytes, f"cannot be read: {_reason(error)}")
    except IntegrityError:
        return _unread(path, file.size_bytes, "what is stored of it is damaged")


def digest_of(source: Source) -> Digest:
    """The SHA-256 of all bytes."""
    hashed = sha256()
    for offset in range(0, source.size_bytes, _HASHED_AT_ONCE):
        length = min(_HASHED_AT_ONCE, source.size_bytes - offset)
        hashed.update(source.read_at(offset, length))
    return Digest.sha256(hashed.hexdigest())


def _reason(error: Exception) -> str:
    return (error.strerror or "") if isinstance(error, OSError) else str(error)


def _unread(path: str, size_bytes: int, reason: str) -> FileReport:
    return report_of(path, size_bytes, (Unread(Place(), reason),))


def total_bytes(files: Scannable) -> int:
    """How many bytes `scan` will report as done."""
    return sum(file.size_bytes for file in files.values() if isinstance(file, File))


# --- what there is to scan -----------------------------------------------------------------


def local_files(path: Path) -> Scannable:
    """A file, or everything below a folder, hidden files and folders included.

    Links to files are followed, as the HF cache needs. A link to a folder is not, nor is what
    is neither file nor folder: both are unread.

    Raises:
        EntryNotFoundError: there is nothing at `path`.
    """
    if not path.is_dir():
        if not path.exists():
            raise EntryNotFoundError(f"{path}: no such file or folder")
        return {shown_path(path.name): _local(path, shown_path(path.name))}
    return dict(_below(path))


def _below(root: Path) -> Iterator[tuple[str, File | Unopened]]:
    unlisted: list[OSError] = []
    for folder, subfolders, names in os.walk(root, onerror=unlisted.append):
        for name in (*names, *(one for one in subfolders if Path(folder, one).is_symlink())):
            path = Path(folder, name)
            relative = shown_path(path.relative_to(root).as_posix())
            yield relative, _local(path, relative, root)
    for error in unlisted:
        place = shown_path(Path(os.fsdecode(error.filename)).relative_to(root).as_posix())
        yield place, Unopened(f"the folder cannot be listed: {error.strerror}")


def _local(path: Path, relative: str, root: Path | None = None) -> File | Unopened:
    try:
        status = path.stat()
    except OSError as error:
        return Unopened(f"cannot be looked at: {error.strerror}")
    if S_ISDIR(status.st_mode):
        return Unopened("a link to a folder, which is not followed")
    if not S_ISREG(status.st_mode):
        return Unopened("neither a file nor a folder")
    is_out = root is not None and path.is_symlink() and leads_out(path, root)
    return File(status.st_size, partial(FileSource, path, relative), leads_out=is_out)


def shown_path(path: str) -> str:
    """A path as text: bytes in it that are no UTF-8 are spelled out."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def repo_files(
    house: "House", actor: "Actor", repo_id: "RepoId", revision: str | None = None
) -> Scannable:
    """The files of a repo at a revision; None means the default branch.

    Raises:
        RepoNotFoundError, RevisionNotFoundError: for this caller there is none.
        GatedError: files may be read only after the owner granted access.
    """
    from cairn.workflows.browse import open_view
    from cairn.workflows.stored_file import opened

    view = open_view(house, actor, repo_id, revision)
    entries = house.catalog.history.manifest(view.revision.tree).entries
    return {
        path: File(entry.blob.size_bytes, partial(opened, house, entry))
        for path, entry in entries.items()
    }
