"""Files on this machine that are written whole or not at all: under another name first."""

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cairn.domain import Source, Span
from cairn.errors import ConflictError, EntryNotFoundError, UnavailableError
from cairn.formats import File, Files, FileSource
from cairn.formats.reframing import Reframing
from cairn.formats.sources import read_exactly

BLOCK_BYTES = 1 << 20
"""Copied at once, through one buffer that stays in the cache. Tensors begin anywhere in a page:
copy_file_range and sendfile then write every page in two parts, and took 1.4 times the CPU."""


def check_target(paths: list[Path], size_bytes: int, *, force: bool) -> None:
    """Whether files of together `size_bytes` can be written there.

    Raises:
        EntryNotFoundError: the folder is not there.
        ConflictError: one of the files is, and `force` is not given.
        UnavailableError: the disk has too little room.
    """
    folder = paths[0].parent
    if not folder.is_dir():
        raise EntryNotFoundError(f"{folder}: no such folder")
    there = [str(path) for path in paths if os.path.lexists(path)]
    if there and not force:
        raise ConflictError(f"{there[0]} exists; --force overwrites it")
    free = shutil.disk_usage(folder).free
    if free < size_bytes:
        raise UnavailableError(f"{folder} has room for {free:,} bytes, {size_bytes:,} are needed")


@dataclass(frozen=True, slots=True)
class Draft:
    """A file being written: where it lies meanwhile, and the descriptor to write to."""

    path: Path
    descriptor: int

    def write(self, data: bytes | memoryview) -> None:
        """Put bytes at the end."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self.descriptor, rest) :]


@contextmanager
def replacing(path: Path) -> Iterator[Draft]:
    """A draft that becomes, all at once and durably, the file at `path` at the end.

    After an error there is what was there before.
    """
    draft = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}.part")
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(draft, flags, 0o666)
    try:
        yield Draft(draft, descriptor)
        os.fsync(descriptor)
        draft.replace(path)
        sync_folder(path.parent)
    except BaseException:
        with suppress(FileNotFoundError):
            draft.unlink()
        raise
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_reframed(
    reframing: Reframing, files: Files, draft: Draft, progress: Callable[[int], None]
) -> None:
    """All bytes of a reframed file; `progress` gets the count of those newly written.

    Raises:
        UntrustedDataError: a file does not hold what its layout said.
    """
    # Here, because listing a checkpoint needs no arrays.
    from cairn.formats.reframed_source import OpenFiles, values

    draft.write(reframing.header)
    opened = OpenFiles(files)
    try:
        for run in reframing.runs:
            if run.span is None:
                for block in values(run.of, opened):
                    draft.write(block)
                    progress(len(block))
            else:
                _copy(opened.source(run.path, run.of.path), run.span, draft, progress)
    finally:
        opened.close()


def _copy(source: Source, span: Span, draft: Draft, progress: Callable[[int], None]) -> None:
    buffer = memoryview(bytearray(min(BLOCK_BYTES, span.size_bytes)))
    at = span.start
    while at < span.stop:
        wanted = min(BLOCK_BYTES, span.stop - at)
        came = 0
        if isinstance(source, FileSource):
            came = source.read_into(at, buffer[:wanted])
            draft.write(buffer[:came])
        if not came:
            draft.write(read_exactly(source, at, wanted, "a tensor"))
            came = wanted
        at += came
        progress(came)


def write_copy(file: File, draft: Draft) -> None:
    """All bytes of a file of a checkpoint."""
    with file.open() as source:
        _copy(source, Span(0, source.size_bytes), draft, lambda _: None)
