"""Two revisions of a repo compared, as far as a request may: values only of small checkpoints.

Answers are remembered under both trees, whose names cover every file; they carry no repo's name.
"""

from cairn.domain import Actor, RepoId
from cairn.errors import RequestError
from cairn.hub.memory import Memory
from cairn.workflows.browse import View, open_view
from cairn.workflows.diff import Difference, bytes_to_compare, compare, pairing_of
from cairn.workflows.house import House
from cairn.workflows.inspect import read_repo

MAX_VALUE_BYTES = 256 << 20
"""Bytes of both sides read for one page: 0.1 to 0.2 s on two cores, see docs/benchmarks.md."""

MAX_REMEMBERED = 20_000  # tensor pairs of about 1 kB each: some 20 MB

ComparisonMemory = Memory[Difference]


def comparison_memory() -> ComparisonMemory:
    """A memory for what `compare_revisions` finds."""
    return Memory(MAX_REMEMBERED, lambda found: 1 + len(found.tensors))


def split_revisions(text: str) -> tuple[str, str]:
    """The two revisions in `before...after`; no ref has two dots in a row.

    Raises:
        RequestError: it is not two names with three dots between them.
    """
    before, dots, after = text.partition("...")
    if not (before and dots and after):
        raise RequestError("name two revisions as before...after")
    return before, after


def open_both(house: House, actor: Actor, repo_id: RepoId, revisions: str) -> tuple[View, View]:
    """Both revisions, for a caller who may read the files.

    Raises:
        RequestError, RepoNotFoundError, GatedError, RevisionNotFoundError: see `open_view`.
    """
    before, after = split_revisions(revisions)
    return open_view(house, actor, repo_id, before), open_view(house, actor, repo_id, after)


def compare_revisions(
    memory: ComparisonMemory, house: House, actor: Actor, before: View, after: View
) -> Difference:
    """What differs; `values_compared` is False where there are more than `MAX_VALUE_BYTES`.

    Raises:
        IntegrityError: a stored file is damaged.
    """

    def read() -> Difference:
        left = read_repo(house, actor, before.repo.id, before.revision.id)
        right = read_repo(house, actor, after.repo.id, after.revision.id)
        by_name = pairing_of(left, right, values=False)
        alone = (*by_name.removed, *by_name.added)
        total = bytes_to_compare(by_name) + sum(one.tensor.size_bytes for one in alone)
        if total > MAX_VALUE_BYTES:
            return compare(left, right, by_name, values=False)
        return compare(left, right, pairing_of(left, right))

    return memory.get((before.revision.tree, after.revision.tree), read)
