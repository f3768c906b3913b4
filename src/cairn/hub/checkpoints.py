"""Checkpoints read from stored files, remembered because a digest's anatomy never changes.

Pages and the JSON API ask for the same anatomy again and again. The key is the set of
(path, SHA-256) that was read, so an answer can never be stale; the memory is bounded by
the number of tensors it holds.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from threading import Lock

from cairn.domain import Checkpoint, Entry, Revision
from cairn.store import BlobReader
from cairn.workflows.house import House

MAX_REMEMBERED_TENSORS = 60_000  # a TensorInfo takes about 0.5 kB: some 30 MB at most
MAX_FILES = 400  # open at once; the most sharded published checkpoints have about 200 files
MAX_CONFIG_BYTES = 4 << 20
_CHECKPOINT_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
_COMPANIONS = ("config.json",)

Key = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class NamedBlob:
    """A stored blob as a source that carries its path in the repo."""

    name: str
    reader: BlobReader

    @property
    def size_bytes(self) -> int:
        """Plain bytes."""
        return self.reader.size_bytes

    def read_at(self, offset: int, length: int) -> bytes:
        """See `Source.read_at`."""
        return self.reader.read_at(offset, length)


class CheckpointMemory:
    """The most recently shown checkpoints; safe to use from several threads."""

    def __init__(self, max_tensors: int = MAX_REMEMBERED_TENSORS) -> None:
        self._max_tensors = max_tensors
        self._held: OrderedDict[Key, Checkpoint] = OrderedDict()
        self._tensors = 0
        self._lock = Lock()

    def get(self, key: Key, read: Callable[[], Checkpoint]) -> Checkpoint:
        """The checkpoint of this key, read now unless it is remembered."""
        with self._lock:
            found = self._held.get(key)
            if found is not None:
                self._held.move_to_end(key)
                return found
        fresh = read()
        with self._lock:
            if key not in self._held:
                self._held[key] = fresh
                self._tensors += _weight(fresh)
            while self._tensors > self._max_tensors and len(self._held) > 1:
                _, dropped = self._held.popitem(last=False)
                self._tensors -= _weight(dropped)
        return fresh

    @property
    def tensors(self) -> int:
        """Tensors held now (an entry without any counts as one)."""
        return self._tensors


def _weight(checkpoint: Checkpoint) -> int:
    held = sum(len(layout.tensors) + len(layout.metadata) for layout in checkpoint.layouts.values())
    return held + 1


def looks_like_checkpoint(entry: Entry) -> bool:
    """Whether the file's name is one that tensors are kept under."""
    return entry.path.lower().endswith(_CHECKPOINT_SUFFIXES)


def revision_files(house: House, revision: Revision) -> Mapping[str, Entry]:
    """The files of a revision whose names say that they hold tensors, at most `MAX_FILES`."""
    entries = house.catalog.history.manifest(revision.tree).entries
    return dict(list(_only_checkpoints(entries).items())[:MAX_FILES])


def _only_checkpoints(entries: Mapping[str, Entry]) -> dict[str, Entry]:
    return {path: entry for path, entry in entries.items() if looks_like_checkpoint(entry)}


def read_revision(memory: CheckpointMemory, house: House, revision: Revision) -> Checkpoint | None:
    """The whole checkpoint of a revision with its architecture; None when no file is one."""
    entries = house.catalog.history.manifest(revision.tree).entries
    files = list(_only_checkpoints(entries).values())[:MAX_FILES]
    if not files:
        return None
    return _read(memory, house, [*files, *_companions(entries)])


def _companions(entries: Mapping[str, Entry]) -> list[Entry]:
    """The small JSON files that say the architecture and how shards belong together."""
    return [
        entry
        for path, entry in entries.items()
        if (path in _COMPANIONS or path.endswith(".index.json"))
        and entry.blob.size_bytes <= MAX_CONFIG_BYTES
    ]


def read_file(memory: CheckpointMemory, house: House, entry: Entry) -> Checkpoint:
    """One file alone as a checkpoint; a file that cannot be read is in its `unread`."""
    return _read(memory, house, [entry])


def _read(memory: CheckpointMemory, house: House, entries: Sequence[Entry]) -> Checkpoint:
    key = tuple(sorted((entry.path, entry.blob.digest.hex) for entry in entries))

    def read() -> Checkpoint:
        from cairn.workflows.inspect import inspect_files

        with ExitStack() as opened:
            sources = [
                NamedBlob(entry.path, opened.enter_context(house.store.open(entry.blob.digest)))
                for entry in entries
            ]
            return inspect_files(sources, house.readers)

    return memory.get(key, read)
