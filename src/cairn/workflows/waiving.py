"""Lets findings pass, and no longer: for administrators, with a reason that stays."""

from datetime import datetime

from cairn.catalog import RepoRecord, Waiver
from cairn.domain import Actor, Digest, RepoId
from cairn.errors import EntryNotFoundError, NotFoundError, RequestError
from cairn.scanner import RULES
from cairn.workflows.access import require_admin
from cairn.workflows.decided_text import reason_of
from cairn.workflows.house import House
from cairn.workflows.notifications import NoticeKind, notify_owners


def waive(
    house: House,
    actor: Actor,
    repo_id: RepoId | None,
    digest: Digest,
    rule: str,
    reason: str,
    expires_at: datetime | None = None,
) -> Waiver:
    """Let pass what a rule finds in a file of a repo; with `repo_id` None: wherever the file is.

    What later versions of the rule find in the file is let pass as well.

    Raises:
        UnauthenticatedError, ForbiddenError: the caller does not administer the hub.
        NotFoundError: there is no such rule or repo. EntryNotFoundError: the repo has no such file.
        RequestError: there is no reason, or the waiver would have ended.
        ConflictError: there is such a waiver.
    """
    require_admin(actor)
    RULES.get(rule)
    words = reason_of(reason)
    _check_end(house, expires_at)
    repo = None if repo_id is None else house.catalog.repos.get(repo_id)
    if repo is not None and not house.catalog.history.references(repo.uid, digest):
        raise EntryNotFoundError(f"no revision of {repo.id.full_name} holds {digest}")
    (waiver,) = house.catalog.waivers.add(digest, [rule], repo, words, expires_at, actor)
    if repo is not None:
        file = _file_named(house, repo, digest)
        text = f"{actor.name} waived what {rule} finds in {file}: {words}"
        notify_owners(house, repo, NoticeKind.WAIVER, text, link=security_link(repo))
    return waiver


def revoke(house: House, actor: Actor, number: int, reason: str) -> Waiver:
    """Let findings count again.

    Raises:
        UnauthenticatedError, ForbiddenError: the caller does not administer the hub.
        NotFoundError: there is no such waiver. ConflictError: it was revoked before.
        RequestError: there is no reason.
    """
    require_admin(actor)
    waiver = house.catalog.waivers.revoke(number, reason_of(reason), actor)
    try:
        repo = house.catalog.repos.get_by_uid(waiver.repo_uid) if waiver.repo_uid else None
    except NotFoundError:
        repo = None
    if repo is not None:
        file = _file_named(house, repo, waiver.digest)
        text = f"{actor.name} revoked the waiver of {waiver.rule} for {file}: {reason}"
        notify_owners(house, repo, NoticeKind.WAIVER, text, link=security_link(repo))
    return waiver


def _file_named(house: House, repo: RepoRecord, digest: Digest) -> str:
    """What a file of a repo is called, for people: one of its paths."""
    places = house.catalog.history.locations([digest])[digest]
    paths = sorted({place.path for place in places if place.repo == repo.id})
    if not paths:
        return f"the file {digest}"
    more = f" (and {len(paths) - 1} more paths)" if len(paths) > 1 else ""
    return f"{paths[0]}{more}"


def security_link(repo: RepoRecord, path: str = "") -> str:
    """The path of the hub where the findings of a repo's default branch, or a file of it, are."""
    from urllib.parse import quote

    tail = f"/{quote(path)}" if path else ""
    return f"/{repo.id.url_path}/security/{quote(repo.default_branch, safe='')}{tail}"


def _check_end(house: House, expires_at: datetime | None) -> None:
    if expires_at is None:
        return
    if expires_at.tzinfo is None:
        raise RequestError("the end of a waiver needs a time zone")
    if expires_at <= house.clock():
        raise RequestError("the waiver would have ended already")
