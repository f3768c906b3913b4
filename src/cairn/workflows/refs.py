"""Makes and removes branches and tags."""

from cairn.domain import Actor, Ref, RepoId, check_ref_name
from cairn.errors import ForbiddenError, RevisionNotFoundError
from cairn.workflows import browse
from cairn.workflows.access import writable
from cairn.workflows.house import House


def create_branch(
    house: House, actor: Actor, repo_id: RepoId, name: str, start: str | None = None
) -> Ref:
    """Make a branch at a revision, by default the head of the default branch.

    Raises:
        RepoNotFoundError, UnauthenticatedError, ForbiddenError: see `access.writable`.
        RevisionNotFoundError: `start` does not exist. NamingError: the name is not allowed.
        ConflictError: the branch exists.
    """
    return _create(house, actor, repo_id, "refs/heads/", name, start)


def create_tag(
    house: House, actor: Actor, repo_id: RepoId, name: str, revision: str | None = None
) -> Ref:
    """Make a tag at a revision, by default the head of the default branch.

    Raises:
        RepoNotFoundError, UnauthenticatedError, ForbiddenError: see `access.writable`.
        RevisionNotFoundError: the revision does not exist. NamingError: the name is not allowed.
        ConflictError: the tag exists.
    """
    return _create(house, actor, repo_id, "refs/tags/", name, revision)


def _create(
    house: House, actor: Actor, repo_id: RepoId, prefix: str, name: str, start: str | None
) -> Ref:
    record = writable(house, actor, repo_id)
    # Clients expect a missing revision to be told before a bad name.
    at = browse.view(house, actor, repo_id, start).revision
    full = prefix + check_ref_name(name.removeprefix(prefix))
    house.catalog.history.create_ref(record.uid, full, at.id, by=actor)
    return Ref(full, at.id)


def delete_branch(house: House, actor: Actor, repo_id: RepoId, name: str) -> None:
    """Remove a branch or `refs/pr/N`; its commits stay reachable by their ids until gc.

    Raises:
        RepoNotFoundError, UnauthenticatedError: see `access.writable`.
        ForbiddenError: it is the default branch, or the caller may not write.
        RevisionNotFoundError: there is no such branch.
    """
    record = writable(house, actor, repo_id)
    full = name if name.startswith("refs/") else f"refs/heads/{name}"
    if full == record.default_ref:
        raise ForbiddenError(f"Cannot delete {full}: it is the default branch")
    if not full.startswith(("refs/heads/", "refs/pr/")):
        raise RevisionNotFoundError(f"{name[:200]!r} is not a branch")
    house.catalog.history.delete_ref(record.uid, full, by=actor)


def delete_tag(house: House, actor: Actor, repo_id: RepoId, name: str) -> None:
    """Remove a tag.

    Raises:
        RepoNotFoundError, UnauthenticatedError, ForbiddenError: see `access.writable`.
        RevisionNotFoundError: there is no such tag.
    """
    record = writable(house, actor, repo_id)
    full = "refs/tags/" + name.removeprefix("refs/tags/")
    house.catalog.history.delete_ref(record.uid, full, by=actor)
