"""Finds what a repo holds: revisions by name, entries by path, pages of a tree, its history."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from cairn.catalog import RepoRecord
from cairn.domain import Actor, Directory, Entry, RepoId, Revision, check_path
from cairn.errors import EntryNotFoundError, NamingError, RevisionNotFoundError
from cairn.workflows.access import openable, readable
from cairn.workflows.house import House

Node = Entry | Directory


@dataclass(frozen=True, slots=True)
class View:
    """A repo at one revision."""

    repo: RepoRecord
    revision: Revision


@dataclass(frozen=True, slots=True)
class Page:
    """Some nodes of a tree in path order; `next_path` continues after the last one."""

    nodes: tuple[Node, ...]
    next_path: str | None


def view(house: House, actor: Actor, repo_id: RepoId, revision: str | None = None) -> View:
    """A repo at a revision (branch, tag, ref or commit); None means the default branch.

    Raises:
        RepoNotFoundError, RevisionNotFoundError: for this caller there is none.
    """
    return _at(house, readable(house, actor, repo_id), revision)


def open_view(house: House, actor: Actor, repo_id: RepoId, revision: str | None = None) -> View:
    """As `view`, for reading files.

    Raises:
        RepoNotFoundError, RevisionNotFoundError: for this caller there is none.
        GatedError: files may be read only after the owner granted access.
    """
    return _at(house, openable(house, actor, repo_id), revision)


def _at(house: House, record: RepoRecord, revision: str | None) -> View:
    name = revision or record.default_ref
    try:
        return View(record, house.catalog.history.resolve(record.uid, name))
    except NamingError as error:  # a name no ref can have names no revision
        raise RevisionNotFoundError(str(error)) from None


def head(house: House, record: RepoRecord) -> Revision | None:
    """The default branch's commit; None before the first one."""
    try:
        return house.catalog.history.resolve(record.uid, record.default_ref)
    except RevisionNotFoundError:
        return None


def node(house: House, revision: Revision, path: str) -> Node:
    """The file or directory at `path`.

    Raises:
        EntryNotFoundError: there is none; it carries the commit.
    """
    try:
        return house.catalog.history.entry(revision.tree, check_path(path.rstrip("/")))
    except (EntryNotFoundError, NamingError):
        raise EntryNotFoundError(
            f"{path[:200]!r} is not in revision {revision.id}", commit=revision.id
        ) from None


def file(house: House, revision: Revision, path: str) -> Entry:
    """The file at `path`.

    Raises:
        EntryNotFoundError: there is none, or it is a directory; it carries the commit.
    """
    found = node(house, revision, path)
    if isinstance(found, Directory):
        raise EntryNotFoundError(f"{path[:200]!r} is a directory", commit=revision.id)
    return found


def nodes(house: House, revision: Revision, paths: Sequence[str]) -> list[Node]:
    """The nodes that exist among `paths`, in their order, each once."""
    found: dict[str, Node] = {}
    for path in paths:
        try:
            one = node(house, revision, path)
        except EntryNotFoundError:
            continue
        found.setdefault(one.path, one)
    return list(found.values())


def tree_page(
    house: House,
    revision: Revision,
    path: str = "",
    *,
    recursive: bool,
    after: str | None,
    limit: int,
) -> Page:
    """Up to `limit` nodes below the directory `path`, those after the path `after`.

    Raises:
        EntryNotFoundError: `path` is not a directory of the revision; it carries the commit.
    """
    folder = path.strip("/")
    if folder and not isinstance(node(house, revision, folder), Directory):
        raise EntryNotFoundError(f"{folder[:200]!r} is a file", commit=revision.id)
    rows = house.catalog.history.list_tree(revision.tree, folder, recursive=recursive, after=after)
    found = tuple(islice(rows, limit + 1))
    return Page(found[:limit], found[limit - 1].path if len(found) > limit else None)


def last_changes(house: House, at: View, paths: Sequence[str]) -> dict[str, Revision]:
    """The newest revision that touched each path."""
    return house.catalog.history.last_changes(at.repo.uid, at.revision.id, list(paths))


def log(house: House, at: View, *, limit: int, offset: int) -> list[Revision]:
    """Revisions from this one back, newest first."""
    return house.catalog.history.log(at.repo.uid, at.revision.id, limit, offset)
