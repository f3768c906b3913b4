"""Who may see and change which repo.

A private repo looks missing to whoever may not read it: same error, same words.
"""

from cairn.catalog import RepoRecord
from cairn.domain import Actor, RepoId, Scope
from cairn.errors import ForbiddenError, GatedError, RepoNotFoundError, UnauthenticatedError
from cairn.workflows.house import House


def readable(house: House, actor: Actor, repo_id: RepoId) -> RepoRecord:
    """The repo, if `actor` may know that it exists.

    Raises:
        RepoNotFoundError: it does not exist, or is private and not theirs.
    """
    try:
        record = house.catalog.repos.get(repo_id)
    except RepoNotFoundError:
        raise _missing(repo_id) from None
    if record.private and not actor.may_read_private(record.id.namespace):
        raise _missing(repo_id)
    return record


def openable(house: House, actor: Actor, repo_id: RepoId) -> RepoRecord:
    """The repo, if `actor` may read its files: a gated repo's description is public, they are not.

    Raises:
        RepoNotFoundError: as for `readable`.
        GatedError: access must be granted by the owner first.
    """
    record = readable(house, actor, repo_id)
    if record.gated and not actor.may_read_private(record.id.namespace):
        raise GatedError(
            f"access to {record.id.type.value} {record.id.full_name} is restricted:"
            " ask its owner for access"
        )
    return record


def writable(house: House, actor: Actor, repo_id: RepoId) -> RepoRecord:
    """The repo, if `actor` may change it.

    Raises:
        RepoNotFoundError: as for `readable`.
        UnauthenticatedError: nobody is logged in.
        ForbiddenError: the account or its token may not write here.
    """
    record = readable(house, actor, repo_id)
    require_writer(actor, record.id.namespace)
    return record


def named_reader(house: House, name: str) -> Actor:
    """Whoever has this name, with the rights they have now, to read and not to write.

    Raises:
        NotFoundError: there is no such account.
    """
    accounts = house.catalog.accounts
    return Actor(accounts.get(name), organisations=accounts.organisations_of(name))


def require_writer(actor: Actor, namespace: str) -> None:
    """Let through whoever may create and change repos of a namespace.

    Raises:
        UnauthenticatedError: nobody is logged in.
        ForbiddenError: the account or its token may not.
    """
    if actor.account is None:
        raise UnauthenticatedError("log in to change this: send a token with write scope")
    if actor.scope is not Scope.WRITE:
        raise ForbiddenError(f"token {actor.token_name!r} may only read; use one with write scope")
    if not actor.may_write(namespace):
        raise ForbiddenError(f"{actor.name} may not write to the namespace {namespace!r}")


def require_admin(actor: Actor) -> None:
    """Let through whoever administers this hub.

    Raises:
        UnauthenticatedError: nobody is logged in.
        ForbiddenError: the account is no administrator, or its token may only read.
    """
    if actor.account is None:
        raise UnauthenticatedError("log in to do this: send an administrator's token")
    if not actor.account.is_admin:
        raise ForbiddenError(f"{actor.name} does not administer this hub")
    if actor.scope is not Scope.WRITE:
        raise ForbiddenError(f"token {actor.token_name!r} may only read; use one with write scope")


def require_overseer(actor: Actor) -> None:
    """Let through whoever administers this hub, to look at things and change nothing.

    Raises:
        UnauthenticatedError: nobody is logged in.
        ForbiddenError: the account is no administrator.
    """
    if actor.account is None:
        raise UnauthenticatedError("log in to see this: send an administrator's token")
    if not actor.account.is_admin:
        raise ForbiddenError(f"{actor.name} does not administer this hub")


def _missing(repo_id: RepoId) -> RepoNotFoundError:
    return RepoNotFoundError(
        f"{repo_id.type.value} {repo_id.full_name} does not exist, or you may not see it"
    )
