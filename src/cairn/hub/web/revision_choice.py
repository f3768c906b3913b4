"""The revisions of a repo that a form offers: branches, tags and the last commits."""

from dataclasses import dataclass

from cairn.catalog import RepoRecord
from cairn.domain import Revision
from cairn.errors import RevisionNotFoundError
from cairn.hub.web.visit import Visit

MAX_COMMITS = 20
MAX_REFS = 200
_MAX_TITLE = 60
_SHORT = 7


@dataclass(frozen=True, slots=True)
class RevisionChoice:
    """One select: groups of (value, text), and which value is chosen."""

    chosen: str
    groups: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


def revision_choice(visit: Visit, record: RepoRecord, chosen: str) -> RevisionChoice:
    """What a select of this repo's revisions offers; what is chosen is among it in any case."""
    history = visit.house.catalog.history
    refs = history.refs(record.uid)
    branches = [ref.short_name for ref in refs if ref.name.startswith("refs/heads/")]
    branches.sort(key=lambda name: (name != record.default_branch, name))
    tags = [ref.short_name for ref in refs if ref.name.startswith("refs/tags/")]
    commits = [(one.id, _commit_text(one)) for one in _last_commits(visit, record)]
    offered = {*branches[:MAX_REFS], *tags[:MAX_REFS], *(value for value, _ in commits)}
    groups = (
        ("Chosen", () if chosen in offered else ((chosen, chosen),)),
        ("Branches", tuple((name, name) for name in branches[:MAX_REFS])),
        ("Tags", tuple((name, name) for name in tags[:MAX_REFS])),
        ("Last commits", tuple(commits)),
    )
    return RevisionChoice(chosen, tuple(group for group in groups if group[1]))


def _last_commits(visit: Visit, record: RepoRecord) -> list[Revision]:
    """The newest commits of the default branch."""
    history = visit.house.catalog.history
    try:
        head = history.resolve(record.uid, record.default_ref)
    except RevisionNotFoundError:
        return []
    return history.log(record.uid, head.id, MAX_COMMITS)


def _commit_text(revision: Revision) -> str:
    title = revision.title
    if len(title) > _MAX_TITLE:
        title = f"{title[: _MAX_TITLE - 1]}…"
    return f"{revision.id[:_SHORT]} {title}"
