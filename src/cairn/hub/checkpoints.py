"""Checkpoints read from stored files, remembered because content never changes under its key.

Pages and the JSON API ask for the same anatomy again and again. A revision is remembered
under its tree, whose name covers the path and SHA-256 of every file, and a single file under
its own; so an answer can never be stale. The memory is bounded by what it holds.
"""

from dataclasses import replace

from cairn.domain import Actor, Checkpoint, Entry
from cairn.hub.memory import Memory
from cairn.workflows.browse import View
from cairn.workflows.house import House
from cairn.workflows.inspect import inspect_files, inspect_repo
from cairn.workflows.stored_file import opened

MAX_REMEMBERED = (
    60_000  # tensors, metadata entries and modules of about 0.5 kB each: some 30 MB at most
)

CheckpointMemory = Memory[Checkpoint]


def checkpoint_memory() -> CheckpointMemory:
    """A memory for what `read_revision` and `read_file` find."""
    return Memory(MAX_REMEMBERED, _weight)


def _weight(checkpoint: Checkpoint) -> int:
    layouts = checkpoint.layouts.values()
    held = sum(len(layout.tensors) + len(layout.metadata) for layout in layouts)
    modules = sum(1 for _ in checkpoint.modules.walk()) if checkpoint.modules else 0
    return 1 + held + modules + len(checkpoint.belongs)


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
