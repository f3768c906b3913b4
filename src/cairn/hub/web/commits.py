"""The history of a repo: commits page by page, and what each one changed."""

from dataclasses import dataclass

from starlette.responses import Response
from starlette.routing import BaseRoute

from cairn.catalog import ChangeKind, FileChange
from cairn.domain import Entry, Revision
from cairn.errors import RevisionNotFoundError
from cairn.hub.routing import repo_routes
from cairn.hub.web.repo_view import RepoView, load_repo
from cairn.hub.web.verdict_view import repo_badge
from cairn.hub.web.visit import Visit, endpoint
from cairn.hub.web.wording import bytes_text, path_url, plural
from cairn.workflows import browse
from cairn.workflows.house import House

PAGE_SIZE = 50
MAX_CHANGES = 500


@dataclass(frozen=True, slots=True)
class ShownChange:
    """One path of a commit: what happened, where it can be seen, how big it was and is."""

    path: str
    word: str
    link: str | None
    size: str


def _commits(visit: Visit) -> Response:
    repo = load_repo(visit)
    number = visit.page_number()
    start = (number - 1) * PAGE_SIZE
    revisions = []
    if repo.revision is not None:
        at = browse.View(repo.record, repo.revision)
        revisions = browse.log(visit.house, at, limit=PAGE_SIZE, offset=start)
    if number > 1 and not revisions:
        raise RevisionNotFoundError(f"there is no page {number} of this history")
    return visit.render(
        "commits.html",
        repo=repo,
        tab="commits",
        safety=repo_badge(visit, repo),
        section=repo.record.id.type.plural,
        now=visit.now,
        revisions=revisions,
        total=repo.commits,
        previous=visit.with_query(page=number - 1) if number > 1 else None,
        next=visit.with_query(page=number + 1) if start + PAGE_SIZE < repo.commits else None,
        note=f"{start + 1} to {start + len(revisions)} of {plural(repo.commits, 'commit')}",
    )


def _commit(visit: Visit) -> Response:
    repo = load_repo(visit)
    if repo.revision is None:
        raise RevisionNotFoundError("this repository has no commits yet")
    history = visit.house.catalog.history
    found = history.changes(repo.record.uid, repo.revision.id)
    before = None
    if repo.revision.parents:
        before = history.resolve(repo.record.uid, repo.revision.parents[0])
    return visit.render(
        "commit.html",
        repo=repo,
        tab="commits",
        safety=repo_badge(visit, repo),
        section=repo.record.id.type.plural,
        now=visit.now,
        revision=repo.revision,
        git_tree=history.git_tree_id(repo.revision.tree),
        changes=[_shown(visit.house, repo, before, change) for change in found[:MAX_CHANGES]],
        total=len(found),
    )


def _shown(
    house: House, repo: RepoView, before: Revision | None, change: FileChange
) -> ShownChange:
    assert repo.revision is not None
    old = _size(house, before, change.path) if change.kind is not ChangeKind.ADDED else None
    if change.kind is ChangeKind.DELETED:
        return ShownChange(change.path, "removed", None, bytes_text(old or 0))
    new = bytes_text(_size(house, repo.revision, change.path) or 0)
    link = f"{repo.root}/blob/{repo.revision.id}/{path_url(change.path)}"
    if old is None:
        return ShownChange(change.path, "added", link, new)
    size = new if bytes_text(old) == new else f"{bytes_text(old)} → {new}"
    return ShownChange(change.path, "changed", link, size)


def _size(house: House, revision: Revision | None, path: str) -> int | None:
    if revision is None:
        return None
    node = browse.node(house, revision, path)
    return node.blob.size_bytes if isinstance(node, Entry) else None


routes: list[BaseRoute] = [
    *repo_routes("/commits/{rev}", endpoint(_commits), "GET", "HEAD"),
    *repo_routes("/commit/{rev}", endpoint(_commit), "GET", "HEAD"),
]
