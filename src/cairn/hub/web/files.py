"""The files of a revision, one directory at a time."""

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import Response
from starlette.routing import BaseRoute

from cairn.domain import Directory, Revision
from cairn.errors import EntryNotFoundError
from cairn.hub.routing import repo_routes
from cairn.hub.web.repo_view import RepoView, load_repo
from cairn.hub.web.verdict_view import Badge, badges_of, repo_badge
from cairn.hub.web.visit import Visit, endpoint
from cairn.hub.web.wording import path_url, plural
from cairn.workflows import browse

PAGE_SIZE = 200


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a directory listing; a directory has no download and no size.

    `download` is empty for what the hub holds back.
    """

    name: str
    link: str
    change: Revision | None
    download: str = ""
    size_bytes: int = 0
    lfs: bool = False
    badge: Badge | None = None
    scan: str = ""
    is_directory: bool = False


def _tree(visit: Visit) -> Response:
    repo = load_repo(visit)
    folder = visit.param("path").strip("/")
    number = visit.page_number()
    found = _nodes(visit, repo, folder)
    start = (number - 1) * PAGE_SIZE
    shown = found[start : start + PAGE_SIZE]
    if number > 1 and not shown:
        raise EntryNotFoundError(f"there is no page {number} of this folder")
    return visit.render(
        "tree.html",
        repo=repo,
        tab="files",
        section=repo.record.id.type.plural,
        now=visit.now,
        folder=folder,
        crumbs=crumbs(repo, folder),
        safety=repo_badge(visit, repo),
        rows=_rows(visit, repo, shown),
        count=len(found),
        total_bytes=sum(n.blob.size_bytes for n in found if not isinstance(n, Directory)),
        previous=visit.with_query(page=number - 1) if number > 1 else None,
        next=visit.with_query(page=number + 1) if start + PAGE_SIZE < len(found) else None,
        note=f"{start + 1} to {start + len(shown)} of {plural(len(found), 'entry')}",
    )


def _nodes(visit: Visit, repo: RepoView, folder: str) -> list[browse.Node]:
    if repo.revision is None:
        if folder:
            raise EntryNotFoundError("this repository has no files yet")
        return []
    house, revision = visit.house, repo.revision
    if folder and not isinstance(browse.node(house, revision, folder), Directory):
        raise EntryNotFoundError(f"{folder[:200]!r} is a file, not a folder", commit=revision.id)
    found = list(house.catalog.history.list_tree(revision.tree, folder, recursive=False))
    return sorted(found, key=lambda node: (not isinstance(node, Directory), node.path))


def _rows(visit: Visit, repo: RepoView, nodes: Sequence[browse.Node]) -> list[Row]:
    if repo.revision is None or not nodes:
        return []
    at = browse.View(repo.record, repo.revision)
    changes = browse.last_changes(visit.house, at, [node.path for node in nodes])
    badges = badges_of(visit, repo, [one for one in nodes if not isinstance(one, Directory)])
    rows = []
    for node in nodes:
        name = node.path.rpartition("/")[2]
        tail = f"{repo.here}/{path_url(node.path)}"
        change = changes.get(node.path)
        if isinstance(node, Directory):
            rows.append(Row(name, f"{repo.root}/tree/{tail}", change, is_directory=True))
        else:
            badge = badges[node.path]
            link = f"{repo.root}/blob/{tail}"
            download = "" if badge.is_held else f"{repo.root}/resolve/{tail}"
            size = node.blob.size_bytes
            scan = f"{repo.root}/security/{tail}"
            rows.append(Row(name, link, change, download, size, node.lfs, badge, scan))
    return rows


def crumbs(repo: RepoView, path: str) -> list[tuple[str, str]]:
    """Each folder on the way to `path` with its link, the last one being `path` itself."""
    steps, out = [s for s in path.split("/") if s], []
    for index, step in enumerate(steps):
        above = "/".join(steps[: index + 1])
        out.append((step, f"{repo.root}/tree/{repo.here}/{path_url(above)}"))
    return out


routes: list[BaseRoute] = [
    *repo_routes("/tree/{rev}", endpoint(_tree), "GET", "HEAD"),
    *repo_routes("/tree/{rev}/{path:path}", endpoint(_tree), "GET", "HEAD"),
]
