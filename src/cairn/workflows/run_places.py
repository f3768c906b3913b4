"""Where runs are pushed to and fetched from: a store in a folder; a hub is one too, in its room."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from cairn.errors import EntryNotFoundError, NamingError, NotFoundError
from cairn.formats import File
from cairn.store import NamedBlob
from cairn.workflows.folder_store import FolderStore, collect_folder, open_folder, put_named
from cairn.workflows.optimize import optimize_blob

STORE, HUB = "store:", "hub:"
_BLOCK_BYTES = 1 << 20

Content = bytes | Path
"""What is put: small files as they were at an instant, large ones where they lie."""


@dataclass(frozen=True, slots=True)
class PlacedFile:
    """A file of a run at a place; `digest` is `sha256:...`, or `git:...`, the id of git's blob."""

    file: File
    digest: str


class RunPlace(Protocol):
    """Somewhere that keeps a run under a name."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    def files(self) -> Mapping[str, PlacedFile]:
        """What is there by path; empty where there is nothing yet."""
        ...

    def put(self, files: Mapping[str, Content], gone: Iterable[str], message: str) -> None:
        """Add or replace files and take others away; durable when this returns.

        Raises:
            UnavailableError: it cannot be reached, or is full.
        """
        ...


class StorePlace:
    """A run in a store, whose files are named `run/step-10/model.safetensors`."""

    def __init__(self, folder: Path, run: str) -> None:
        self._root = folder
        self._start = f"{run}/"

    @classmethod
    def parse(cls, text: str) -> "StorePlace":
        """`store:FOLDER/RUN`.

        Raises:
            NamingError: it names no run.
        """
        path = Path(text.removeprefix(STORE))
        if not path.name or path.name in (".", ".."):
            raise NamingError(f"{text}: name a run in the store, as store:FOLDER/RUN")
        return cls(path.parent, path.name)

    @property
    def name(self) -> str:
        """See `RunPlace.name`."""
        return f"{STORE}{self._root}/{self._start[:-1]}"

    def files(self) -> dict[str, PlacedFile]:
        """See `RunPlace.files`."""
        try:
            folder = open_folder(self._root)
        except NotFoundError:
            return {}
        return {
            named.name[len(self._start) :]: _placed(folder, named)
            for named in folder.store.names.list(self._start)
        }

    def put(self, files: Mapping[str, Content], gone: Iterable[str], message: str) -> None:
        """See `RunPlace.put`; the last of `files` appears last."""
        del message
        folder = open_folder(self._root, create=True)
        for path, content in files.items():
            blocks = partial(_blocks, content)
            named = put_named(folder.store, self._start + path, blocks, replace=True)
            optimize_blob(folder, named.blob.digest)
        removed = list(gone)
        for path in removed:
            with suppress(EntryNotFoundError):
                folder.store.names.remove(self._start + path)
        if removed:
            collect_folder(folder.store)


def _placed(folder: FolderStore, named: NamedBlob) -> PlacedFile:
    opened = partial(folder.store.open, named.blob.digest)
    return PlacedFile(File(named.blob.size_bytes, opened), str(named.blob.digest))


def _blocks(content: Content) -> Iterable[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            yield block
