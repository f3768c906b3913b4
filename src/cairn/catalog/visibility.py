"""What `workflows.access` says of one repo, as SQL conditions for all repos at once."""

from sqlalchemy import ColumnElement, and_, or_, true

from cairn.catalog.accounts import key_of
from cairn.catalog.schema import repos
from cairn.domain import Actor


def visible_to(viewer: Actor) -> ColumnElement[bool]:
    """Repos that the viewer may know of: public ones, and those `may_read_private` admits."""
    return _unless_theirs(viewer, repos.c.private.is_(False))


def openable_by(reader: Actor) -> ColumnElement[bool]:
    """Repos whose files the reader may have: neither private nor gated, or theirs."""
    return _unless_theirs(reader, and_(repos.c.private.is_(False), repos.c.gated.is_(None)))


def _unless_theirs(actor: Actor, condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """The condition, waived where `Actor.may_read_private` holds."""
    if actor.account is None:
        return condition
    if actor.account.is_admin:
        return true()
    owners = {key_of(name) for name in (actor.account.name, *actor.organisations)}
    return or_(condition, repos.c.owner.in_(sorted(owners)))
