"""Checkpoints read from stored files, remembered because content never changes under its key.

Pages and the JSON API ask for the same anatomy again and again. A revision is remembered
under its tree, whose name covers the path and SHA-256 of every file, and a single file under
its own; so an answer can never be stale. The memory is bounded by what it holds.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from threading import Lock

from cairn.domain import Actor, Checkpoint, Entry
from cairn.workflows.browse import View
from cairn.workflows.house import House
from cairn.workflows.inspect import inspect_files, inspect_repo
from cairn.workflows.stored_file import opened

MAX_REMEMBERED = 60_000  # tensors and metadata entries of about 0.5 kB each: some 30 MB at most

Key = tuple[str, ...]


class CheckpointMemory:
    """The checkpoints shown last; safe to use from several threads."""

    def __init__(self, limit: int = MAX_REMEMBERED) -> None:
        self._limit = limit
        self._held: OrderedDict[Key, Checkpoint] = OrderedDict()
        self._weight = 0
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
                self._weight += _weight(fresh)
            while self._weight > self._limit and len(self._held) > 1:
                _, dropped = self._held.popitem(last=False)
                self._weight -= _weight(dropped)
        return fresh

    @property
    def weight(self) -> int:
        """Tensors and metadata entries held now, and one for each checkpoint."""
        return self._weight


def _weight(checkpoint: Checkpoint) -> int:
    layouts = checkpoint.layouts.values()
    return 1 + sum(len(layout.tensors) + len(layout.metadata) for layout in layouts)


def read_revision(
    memory: CheckpointMemory, house: House, actor: Actor, view: View
) -> Checkpoint | None:
    """The checkpoint that a revision's files make up; None when no file claims to be one.

    Its name is empty: the same tree may lie in several repos, and one must not name another.

    Raises:
        IntegrityError: a stored file is damaged.
    """

    def read() -> Checkpoint:
        found = inspect_repo(house, actor, view.repo.id, view.revision.id)
        return replace(found, name="")

    checkpoint = memory.get(("tree", view.revision.tree), read)
    return checkpoint if checkpoint.layouts or checkpoint.unread else None


def read_file(memory: CheckpointMemory, house: House, entry: Entry) -> Checkpoint:
    """One file alone as a checkpoint; a file that cannot be read is in its `unread`.

    Raises:
        IntegrityError: the stored file is damaged.
    """

    def read() -> Checkpoint:
        with opened(house, entry) as source:
            return inspect_files({entry.path: source}, house.readers)

    return memory.get(("file", entry.path, entry.blob.digest.hex), read)
