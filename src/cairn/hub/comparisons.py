"""Two revisions compared: small checkpoints at once, large ones in the background.

Answers are remembered under both trees, whose names cover every file; they carry no repo's name.
"""

from dataclasses import dataclass

from cairn.catalog import Asked
from cairn.domain import Actor, RepoId
from cairn.errors import NamingError, RepoNotFoundError, RequestError
from cairn.hub.memory import Memory
from cairn.workflows.browse import View, open_view
from cairn.workflows.diff import Difference, bytes_to_compare, compare, pairing_of
from cairn.workflows.house import House
from cairn.workflows.inspect import read_tree
from cairn.workflows.kept_comparisons import asked, kept_difference

MAX_VALUE_BYTES = 256 << 20
"""Bytes of both sides read for one page: 0.1 to 0.2 s on two cores, see docs/benchmarks.md."""

MAX_REMEMBERED = 20_000  # tensor pairs of about 1 kB each: some 20 MB

ComparisonMemory = Memory[Difference]


@dataclass(frozen=True, slots=True)
class Compared:
    """What differs, so far: while values wait in the background, by headers and small files.

    `why_not` says why values were not compared and nobody is about to; empty otherwise.
    """

    found: Difference
    waiting: Asked | None = None
    why_not: str = ""


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


def other_repo(repo_id: RepoId, name: str) -> RepoId:
    """The repo of the same kind by this full name; `repo_id` itself where there is none.

    Raises:
        RepoNotFoundError: no repo can have that name.
    """
    try:
        return RepoId.parse(repo_id.type, name) if name else repo_id
    except NamingError as error:
        raise RepoNotFoundError(f"there is no such repo: {error}") from None


def open_both(
    house: House, actor: Actor, repo_id: RepoId, revisions: str, before_repo: str = ""
) -> tuple[View, View]:
    """Both revisions, for a caller who may read the files of each.

    `before_repo` is where the first lies, if that is another repo of the same kind.

    Raises:
        RequestError, RepoNotFoundError, GatedError, RevisionNotFoundError: see `open_view`.
    """
    before, after = split_revisions(revisions)
    first = open_view(house, actor, other_repo(repo_id, before_repo), before)
    return first, open_view(house, actor, repo_id, after)


def compare_revisions(
    memory: ComparisonMemory, house: House, before: View, after: View
) -> Compared:
    """What differs between two revisions that the caller opened.

    Where more than `MAX_VALUE_BYTES` would have to be read, the background is asked to.

    Raises:
        IntegrityError: a stored file is damaged.
    """
    trees = (before.revision.tree, after.revision.tree)
    found = memory.get(trees, lambda: _compared(house, trees))
    if found.values_compared:
        return Compared(found)
    total = sum(change.pair.bytes_to_compare for change in found.tensors)
    known = asked(house, trees, total)
    if known is None:
        return Compared(found, why_not="as many comparisons wait already as may; try again later")
    if known.failure is not None:
        return Compared(found, why_not=known.failure)
    content = known.content
    if content is None:
        return Compared(found, waiting=known)

    def whole() -> Difference:
        left, right = (read_tree(house, tree) for tree in trees)
        return kept_difference(left, right, content)

    return Compared(memory.get((*trees, "kept"), whole))


def _compared(house: House, trees: tuple[str, str]) -> Difference:
    left, right = (read_tree(house, tree) for tree in trees)
    by_name = pairing_of(left, right, values=False)
    alone = (*by_name.removed, *by_name.added)
    total = bytes_to_compare(by_name) + sum(one.tensor.size_bytes for one in alone)
    if total > MAX_VALUE_BYTES:
        return compare(left, right, by_name, values=False)
    return compare(left, right, pairing_of(left, right))
