"""What `workflows.access` says of one repo, as SQL conditions for all repos at once."""

from sqlalchemy import ColumnElement, and_, exists, or_, true

from cairn.catalog.accounts import key_of
from cairn.catalog.schema import access_requests, repos
from cairn.domain import AccessState, Actor, Grant, Scope


def visible_to(viewer: Actor) -> ColumnElement[bool]:
    """Repos that the viewer may know of: public ones, and those `may_read_private` admits."""
    return _unless_theirs(viewer, repos.c.private.is_(False))


def openable_by(reader: Actor) -> ColumnElement[bool]:
    """Repos whose files the reader may have: open ones, gated ones that let them in, theirs."""
    is_open = or_(repos.c.gated.is_(None), *_lets_in(reader))
    return _unless_theirs(reader, and_(repos.c.private.is_(False), is_open))


def _lets_in(reader: Actor) -> list[ColumnElement[bool]]:
    """Where owners accepted the reader, and their token is for the repo; nothing for nobody."""
    if reader.account is None:
        return []
    accepted = (
        exists()
        .where(
            access_requests.c.repo == repos.c.uid,
            access_requests.c.person == key_of(reader.account.name),
            access_requests.c.state == AccessState.ACCEPTED.value,
        )
        .correlate(repos)
    )
    if reader.is_whole:
        return [accepted]
    return [and_(accepted, or_(*map(_is_in, reader.grants)))] if reader.grants else []


def _unless_theirs(actor: Actor, condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """The condition, waived where `Actor.may_read_private` holds."""
    if actor.account is None:
        return condition
    owners = {key_of(name) for name in (actor.account.name, *actor.organisations)}
    if actor.scope is Scope.FINE_GRAINED:
        granted = [
            _is_in(grant)
            for grant in actor.grants
            if actor.account.is_admin or key_of(grant.namespace) in owners
        ]
        return or_(condition, *granted)
    if actor.account.is_admin:
        return true()
    return or_(condition, repos.c.owner.in_(sorted(owners)))


def _is_in(grant: Grant) -> ColumnElement[bool]:
    if grant.repo is None:
        return repos.c.owner == key_of(grant.namespace)
    return repos.c.key == f"{grant.repo.type.value}/{grant.repo.full_name}".lower()
