"""The verb inspect: what a checkpoint is made of, from its files' headers and companions.

Works on local paths without a house, on any sources, and on the files of a repo.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cairn.domain import (
    Actor,
    Architecture,
    Checkpoint,
    Layout,
    RepoId,
    Scalar,
    Source,
)
from cairn.errors import EntryNotFoundError, RequestError, UnknownFormatError, UntrustedDataError
from cairn.formats import READERS, FileSource, Reader, read_layout
from cairn.formats.safetensors_index import (
    INDEX_SUFFIX,
    disagreements,
    incomplete_series,
    read_index,
)
from cairn.plugins import Registry
from cairn.workflows.companions import (
    COMPANIONS,
    TRAINER_STATE,
    architecture_of,
    first_architecture,
    progress_in,
    progress_of,
    shallowest,
)

if TYPE_CHECKING:
    from cairn.workflows.house import House

MAX_FILES = 20_000
"""Files of one folder or repo looked at: each costs an open and a read."""

# A file named like this claims to be a checkpoint, so failing to read it must be said.
CHECKPOINT_SUFFIXES = (
    *(".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".distcp", ".nemo", ".pkl", ".pickle"),
    *(".gguf", ".ggml", ".h5", ".hdf5", ".keras", ".onnx", ".msgpack", ".npz", ".npy", ".joblib"),
    *(".tflite", ".pb", ".mar", ".pt2"),
)
# Never checkpoints, so not even opened.
_TEXT_SUFFIXES = (
    *(".json", ".jsonl", ".md", ".txt", ".py", ".yaml", ".yml", ".toml", ".csv", ".tsv", ".html"),
    *(".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".ipynb", ".gitattributes", ".gitignore"),
)
_INDEX_SUFFIXES = (f".safetensors{INDEX_SUFFIX}", f".bin{INDEX_SUFFIX}")
_IGNORED_FOLDERS = frozenset((".git", ".cache", "__pycache__"))


@dataclass(frozen=True, slots=True)
class NamedSource:
    """A source under another name: its path in the checkpoint."""

    name: str
    source: Source

    @property
    def size_bytes(self) -> int:
        """Total bytes."""
        return self.source.size_bytes

    def read_at(self, offset: int, length: int) -> bytes:
        """See `Source.read_at`."""
        return self.source.read_at(offset, length)


@dataclass(frozen=True, slots=True)
class _File:
    """A file that may be part of the checkpoint; it is opened only if it has to be read."""

    size_bytes: int
    open: Callable[[], AbstractContextManager[Source]]


def inspect_files(
    sources: Mapping[str, Source], readers: Registry[Reader] = READERS, *, name: str = ""
) -> Checkpoint:
    """The checkpoint that these files make up, by relative path.

    A file that cannot be read is in `unread` with the reason; nothing in the bytes raises.
    """
    files = {
        path: _File(source.size_bytes, partial(_named, path, source))
        for path, source in sources.items()
    }
    return _inspect(name, files, readers)


def inspect_path(path: Path, readers: Registry[Reader] = READERS) -> Checkpoint:
    """The checkpoint in a local file or folder.

    For a single file the companions beside it (config.json, trainer_state.json) are read too.

    Raises:
        EntryNotFoundError: there is nothing at `path`.
        RequestError: it is neither a regular file nor a folder, or may not be read.
        UntrustedDataError: it is one file, and that cannot be read.
    """
    if path.is_dir():
        return _inspect(str(path), _folder(path), readers)
    with FileSource(path, name=path.name) as source:
        layout = read_layout(source, readers)
    beside = {
        name: _local(path.parent / name, name)
        for name in COMPANIONS
        if (path.parent / name).is_file()
    }
    return _assembled(str(path), {path.name: layout}, beside, {}, 0)


def inspect_repo(
    house: "House", actor: Actor, repo_id: RepoId, revision: str | None = None
) -> Checkpoint:
    """The checkpoint in a repo at a revision; None means the default branch.

    Raises:
        RepoNotFoundError, RevisionNotFoundError: for this caller there is none.
        GatedError: files may be read only after the owner granted access.
        IntegrityError: a stored file is damaged.
    """
    from cairn.workflows.browse import open_view
    from cairn.workflows.stored_file import opened

    view = open_view(house, actor, repo_id, revision)
    entries = house.catalog.history.manifest(view.revision.tree).entries
    files = {
        path: _File(entry.blob.size_bytes, partial(opened, house, entry))
        for path, entry in entries.items()
    }
    return _inspect(f"{view.repo.id}@{view.revision.id[:12]}", files, house.readers)


# --- where files come from ---------------------------------------------------------------


@contextmanager
def _named(path: str, source: Source) -> Iterator[Source]:
    yield NamedSource(path, source)


def _local(path: Path, name: str) -> _File:
    try:
        size = path.stat().st_size
    except OSError as error:  # a dangling link, or gone meanwhile
        raise EntryNotFoundError(f"{path}: {error.strerror}") from None
    return _File(size, partial(FileSource, path, name))


def _folder(root: Path) -> dict[str, _File]:
    """The regular files below a folder. Links to files are followed, as the HF cache needs;
    links to folders are not, so there are no cycles.
    """
    files: dict[str, _File] = {}
    for folder, subfolders, names in os.walk(root, onerror=_refuse_folder):
        subfolders[:] = sorted(set(subfolders) - _IGNORED_FOLDERS)
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_file():
                relative = path.relative_to(root).as_posix()
                files[relative] = _local(path, relative)
    return files


def _refuse_folder(error: OSError) -> None:
    raise RequestError(f"{error.filename}: cannot be listed: {error.strerror}")


# --- putting it together -----------------------------------------------------------------


def _inspect(name: str, files: Mapping[str, _File], readers: Registry[Reader]) -> Checkpoint:
    if len(files) > MAX_FILES:
        raise RequestError(f"{name}: {len(files)} files, at most {MAX_FILES} are inspected")
    layouts: dict[str, Layout] = {}
    unread: dict[str, str] = {}
    other_bytes = 0
    for path in sorted(files):
        layout = _layout(path, files[path], readers, unread)
        if layout is not None:
            layouts[path] = layout
        elif path not in unread:
            other_bytes += files[path].size_bytes
    return _assembled(name, layouts, files, unread, other_bytes)


def _layout(
    path: str, file: _File, readers: Registry[Reader], unread: dict[str, str]
) -> Layout | None:
    """The file's layout, or None after entering in `unread` why it has none, if it should."""
    lower = path.lower()
    if lower.endswith(_TEXT_SUFFIXES):
        return None
    with file.open() as source:
        try:
            return read_layout(source, readers)
        except UnknownFormatError as error:
            if lower.endswith(CHECKPOINT_SUFFIXES):
                unread[path] = str(error)
        except UntrustedDataError as error:
            unread[path] = str(error)
    return None


def _assembled(
    name: str,
    layouts: dict[str, Layout],
    files: Mapping[str, _File],
    unread: dict[str, str],
    other_bytes: int,
) -> Checkpoint:
    """The checkpoint of these layouts with what the files beside them say."""

    def read_architecture(path: str) -> Architecture | None:
        with files[path].open() as source:
            return architecture_of(source)

    architecture = first_architecture(files, read_architecture, unread)
    notes = [*_index_notes(layouts, files, unread), *incomplete_series(layouts)]
    progress = {**progress_in(layouts.values()), **_trainer_progress(files, unread)}
    return Checkpoint(
        name=name,
        layouts=layouts,
        architecture=architecture,
        unread=unread,
        other_files_bytes=other_bytes,
        training=progress,
        notes=tuple(notes),
    )


def _trainer_progress(files: Mapping[str, _File], unread: dict[str, str]) -> dict[str, Scalar]:
    path = shallowest(files, TRAINER_STATE)
    if path is None:
        return {}
    with files[path].open() as source:
        try:
            return progress_of(source)
        except UntrustedDataError as error:
            unread[path] = str(error)
    return {}


def _index_notes(
    layouts: Mapping[str, Layout], files: Mapping[str, _File], unread: dict[str, str]
) -> Iterator[str]:
    """Where the indexes of sharded checkpoints and the shards beside them disagree."""
    for path in sorted(files):
        if not path.endswith(_INDEX_SUFFIXES):
            continue
        folder = path[: path.rfind("/") + 1]
        beside = {
            p.removeprefix(folder): found for p, found in layouts.items() if p.startswith(folder)
        }
        with files[path].open() as source:
            try:
                yield from disagreements(read_index(source), beside)
            except UntrustedDataError as error:
                unread[path] = str(error)
