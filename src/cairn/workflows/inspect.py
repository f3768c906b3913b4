"""The verb inspect: what a checkpoint is made of, from its files' headers and companions.

Works on local paths without a house, on any sources, and on the files of a repo.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from cairn.domain import Actor, Checkpoint, Layout, RepoId, Source
from cairn.errors import RequestError, UnknownFormatError, UntrustedDataError
from cairn.formats import READERS, File, Files, FileSource, Reader, read_layout
from cairn.formats.folder import beside
from cairn.plugins import Registry
from cairn.workflows.checkpoint_names import claims_tensors, never_holds_tensors
from cairn.workflows.companions import COMPANIONS
from cairn.workflows.conclusions import conclude
from cairn.workflows.indexed_files import indexed_files, is_index
from cairn.workflows.local_files import folder_files, local_file
from cairn.workflows.readable import ReadableCheckpoint
from cairn.workflows.settings_files import SETTINGS_FILES

if TYPE_CHECKING:
    from cairn.workflows.house import House

_COMPANIONS = (*COMPANIONS, *SETTINGS_FILES)
MAX_FILES = 20_000
"""Files of one folder or repo looked at: each costs an open and a read."""


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


def inspect_files(
    sources: Mapping[str, Source], readers: Registry[Reader] = READERS, *, name: str = ""
) -> Checkpoint:
    """The checkpoint that these files make up, by relative path.

    A file that cannot be read is in `unread` with the reason; nothing in the bytes raises.
    """
    files = {
        path: File(source.size_bytes, partial(_named, path, source))
        for path, source in sources.items()
    }
    return _read(name, files, readers).checkpoint


def inspect_path(path: Path, readers: Registry[Reader] = READERS) -> Checkpoint:
    """The checkpoint in a local file or folder; see `read_path`."""
    return read_path(path, readers).checkpoint


def inspect_repo(
    house: "House", actor: Actor, repo_id: RepoId, revision: str | None = None
) -> Checkpoint:
    """The checkpoint in a repo at a revision; see `read_repo`."""
    return read_repo(house, actor, repo_id, revision).checkpoint


def read_path(path: Path, readers: Registry[Reader] = READERS) -> ReadableCheckpoint:
    """The checkpoint in a local file or folder, ready to have its values read.

    For a single file the companions beside it (config.json, trainer_state.json) are read too,
    and the files it refers to are at hand. An index (model.safetensors.index.json, `.metadata`)
    stands for the files it names.

    Raises:
        EntryNotFoundError: there is nothing at `path`.
        RequestError: it is neither a regular file nor a folder, or may not be read.
        UntrustedDataError: it is one file, and that cannot be read.
    """
    if path.is_dir():
        return _read(str(path), folder_files(path), readers)
    if is_index(path):
        files, known = indexed_files(path, readers)
        _add_companions(path.parent, files, _COMPANIONS)
        return _read(str(path), files, readers, known)
    with FileSource(path, name=path.name) as source:
        layout = read_layout(source, readers)
    files = {path.name: local_file(path, path.name, path.parent)}
    _add_companions(path.parent, files, (*_COMPANIONS, *_referred_to(path.name, layout)))
    layouts = {path.name: layout}
    return ReadableCheckpoint(conclude(str(path), files, layouts, {}, other_files_bytes=0), files)


def read_repo(
    house: "House", actor: Actor, repo_id: RepoId, revision: str | None = None
) -> ReadableCheckpoint:
    """The checkpoint in a repo at a revision; None means the default branch.

    Raises:
        RepoNotFoundError, RevisionNotFoundError: for this caller there is none.
        GatedError: files may be read only after the owner granted access.
        IntegrityError: a stored file is damaged.
    """
    from cairn.workflows.browse import open_view

    view = open_view(house, actor, repo_id, revision)
    return read_tree(house, view.revision.tree, f"{view.repo.id}@{view.revision.id[:12]}")


def read_tree(house: "House", tree: str, name: str = "") -> ReadableCheckpoint:
    """The checkpoint that the files of a revision's tree make up, for whoever may read them.

    Raises:
        IntegrityError: a stored file is damaged.
    """
    from cairn.workflows.stored_file import opened

    entries = house.catalog.history.manifest(tree).entries
    files = {
        path: File(entry.blob.size_bytes, partial(opened, house, entry))
        for path, entry in entries.items()
    }
    return _read(name, files, house.readers)


# --- the files one by one ------------------------------------------------------------------


@contextmanager
def _named(path: str, source: Source) -> Iterator[Source]:
    yield NamedSource(path, source)


def _add_companions(root: Path, files: dict[str, File], names: Iterable[str]) -> None:
    for name in names:
        if (root / name).is_file():
            files.setdefault(name, local_file(root / name, name, root))


def _referred_to(path: str, layout: Layout) -> Iterator[str]:
    """The other files that hold pieces of a file's tensors."""
    references = {piece.path for tensor in layout.tensors for piece in tensor.pieces}
    for reference in sorted(references - {""}):
        yield beside(path, reference)


def _read(
    name: str,
    files: Files,
    readers: Registry[Reader],
    known: Mapping[str, Layout] = MappingProxyType({}),
) -> ReadableCheckpoint:
    """All files; `known` are layouts that were read already."""
    if len(files) > MAX_FILES:
        raise RequestError(f"{name}: {len(files)} files, at most {MAX_FILES} are inspected")
    layouts: dict[str, Layout] = {}
    unread: dict[str, str] = {}
    other_bytes = 0
    for path in sorted(files):
        layout = known.get(path) or _layout(path, files[path], readers, unread)
        if layout is not None:
            layouts[path] = layout
        elif path not in unread:
            other_bytes += files[path].size_bytes
    checkpoint = conclude(name, files, layouts, unread, other_files_bytes=other_bytes)
    return ReadableCheckpoint(checkpoint, files)


def _layout(
    path: str, file: File, readers: Registry[Reader], unread: dict[str, str]
) -> Layout | None:
    """The file's layout, or None after entering in `unread` why it has none, if it should."""
    if never_holds_tensors(path):
        return None
    with file.open() as source:
        try:
            return read_layout(source, readers)
        except UnknownFormatError as error:
            if claims_tensors(path):
                unread[path] = str(error)
        except UntrustedDataError as error:
            unread[path] = str(error)
    return None
