"""Who may see and change which repo.

A private repo looks missing to whoever may not read it: same error, same words.
"""

from dataclasses import replace

from cairn.catalog import RepoRecord
from cairn.domain import (
    ANONYMOUS,
    AccessState,
    Actor,
    Grant,
    Permission,
    RepoId,
    Scope,
)
from cairn.errors import (
    ForbiddenError,
    GatedError,
    NotFoundError,
    RepoNotFoundError,
    UnauthenticatedError,
)
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
    if record.private and not actor.may_read_private(record.id):
        raise _missing(repo_id)
    return record


def openable(house: House, actor: Actor, repo_id: RepoId) -> RepoRecord:
    """The repo, if `actor` may read its files: a gated repo's description is public, they are not.

    Raises:
        RepoNotFoundError: as for `readable`.
        GatedError: access must be granted by the owner first.
    """
    record = readable(house, actor, repo_id)
    if record.gated and not actor.may_read_private(record.id):
        _check_let_in(house, actor, record)
    return record


def still_openable(house: House, name: str, uid: str, *, narrow: bool) -> RepoRecord:
    """The repo, if whoever was let in before with a URL or token of ours still may read its files.

    `name` is theirs, as `Actor.name` has it. `narrow`: see `only` of `named_reader`.

    Raises:
        RepoNotFoundError, GatedError: as for `openable`, or their account is gone.
    """
    record = house.catalog.repos.get_by_uid(uid)
    if name == ANONYMOUS.name:  # which nobody can be called
        return openable(house, ANONYMOUS, record.id)
    try:
        reader = named_reader(house, name, record.id if narrow else None)
    except NotFoundError:
        raise _missing(record.id) from None
    return openable(house, reader, record.id)


def writable(house: House, actor: Actor, repo_id: RepoId) -> RepoRecord:
    """The repo, if `actor` may change it.

    Raises:
        RepoNotFoundError: as for `readable`.
        UnauthenticatedError: nobody is logged in.
        ForbiddenError: the account or its token may not write here.
    """
    record = readable(house, actor, repo_id)
    require_writer(actor, record.id)
    return record


def administrable(house: House, actor: Actor, repo_id: RepoId) -> RepoRecord:
    """The repo, if `actor` may delete it and say who sees it.

    Raises:
        RepoNotFoundError, UnauthenticatedError, ForbiddenError: as for `writable`.
    """
    record = writable(house, actor, repo_id)
    if not actor.may_administer(record.id):
        raise ForbiddenError(
            f"token {actor.token_name!r} may not delete {record.id} or change its settings:"
            f" it would need the grant admin:{record.id}"
        )
    return record


def named_reader(house: House, name: str, only: RepoId | None = None) -> Actor:
    """Whoever has this name, with the rights they have now, to read and not to write.

    With `only`, what is private they see of that repo alone: they came with a token for some
    repos, and it is not known any more for which others.

    Raises:
        NotFoundError: there is no such account.
    """
    accounts = house.catalog.accounts
    reader = Actor(accounts.get(name), organisations=accounts.organisations_of(name))
    if only is None:
        return reader
    grants = (Grant(Permission.READ, only.namespace, only),)
    return replace(reader, scope=Scope.FINE_GRAINED, grants=grants)


def require_writer(actor: Actor, where: RepoId | str) -> None:
    """Let through whoever may change a repo or, in a namespace, create and change repos.

    Raises:
        UnauthenticatedError: nobody is logged in.
        ForbiddenError: the account or its token may not.
    """
    if actor.account is None:
        raise UnauthenticatedError("log in to change this: send a token with write scope")
    if actor.scope is Scope.READ:
        raise ForbiddenError(f"token {actor.token_name!r} may only read; use one with write scope")
    if not actor.may_write(where):
        raise ForbiddenError(_may_not_write(actor, where))


def _may_not_write(actor: Actor, where: RepoId | str) -> str:
    namespace = where.namespace if isinstance(where, RepoId) else where
    if not replace(actor, scope=Scope.WRITE).may_write(where):
        return f"{actor.name} may not write to the namespace {namespace!r}"
    needed = f"write:{where}" if isinstance(where, RepoId) else f"write:{namespace}"
    return f"token {actor.token_name!r} has no grant for this: it would need {needed}"


def require_person(actor: Actor) -> Actor:
    """Let through whoever acts for a whole account: what is told to them, and their settings.

    Raises:
        UnauthenticatedError: nobody is logged in.
        ForbiddenError: the token is for some repos only.
    """
    if actor.account is None:
        raise UnauthenticatedError("log in first: send a token as 'Authorization: Bearer ...'")
    if not actor.is_whole:
        raise ForbiddenError(
            f"token {actor.token_name!r} is for some repos, not for the account; use another one"
        )
    return actor


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
        raise ForbiddenError(
            f"token {actor.token_name!r} may not do this; use one with write scope"
        )


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


def _check_let_in(house: House, actor: Actor, record: RepoRecord) -> None:
    """Let through whom an owner of a gated repo, or the gate itself, has accepted.

    The texts are those that people know from the HF hub.
    """
    what = f"{record.id.type.value} {record.id.full_name}"
    if actor.account is None:
        raise GatedError(
            f"Access to {what} is restricted. You must have access to it and be authenticated to"
            " access it. Please log in."
        )
    if not actor.reaches(record.id):
        raise GatedError(
            f"Access to {what} is restricted, and token {actor.token_name!r} is not for it: it"
            f" would need the grant read:{record.id}, and you an owner's consent."
        )
    state = house.catalog.access_requests.state_of(record.uid, actor.name)
    if state is None:
        raise GatedError(
            f"Access to {what} is restricted and you are not in the authorized list.",
            page=record.id.url_path,
        )
    if state is AccessState.PENDING:
        raise GatedError(
            f"Your request to access {what} is awaiting a review from the repo authors."
        )
    if state is AccessState.REJECTED:
        raise GatedError(f"Your request to access {what} has been rejected by the repo's authors.")


def _missing(repo_id: RepoId) -> RepoNotFoundError:
    return RepoNotFoundError(
        f"{repo_id.type.value} {repo_id.full_name} does not exist, or you may not see it"
    )
