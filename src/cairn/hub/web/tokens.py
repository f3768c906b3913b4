"""A visitor's own access tokens: list, create (shown once), revoke."""

from datetime import datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from cairn.domain import Grant, Scope
from cairn.errors import ConflictError, RequestError
from cairn.hub import threads
from cairn.hub.routing import RawRoute
from cairn.hub.web.posting import Posting, posted_by_owner
from cairn.hub.web.visit import Visit, endpoint
from cairn.workflows.access import require_person

LIFETIMES_DAYS = (7, 30, 90, 365)
GRANT_ROWS = (1, 2, 3, 4)


def _page(visit: Visit) -> Response:
    if visit.actor.account is None:
        return visit.redirect("/login?next=/settings/tokens")
    require_person(visit.actor)
    return _render(visit, "")


def _render(visit: Visit, fresh: str) -> Response:
    return visit.render(
        "tokens.html",
        tokens=visit.house.catalog.tokens.list(visit.actor.name),
        fresh=fresh,
        may_write=visit.actor.scope is Scope.WRITE,
        lifetimes_days=LIFETIMES_DAYS,
        grant_rows=GRANT_ROWS,
        now=visit.now,
    )


async def _create(request: Request) -> Response:
    posting = await posted_by_owner(request)
    visit = posting.visit
    name, scope, grants = posting.field("name"), _scope(posting), _grants(posting)
    expires_at = _expiry(posting.field("expires"), visit.now)

    def create() -> Response:
        try:
            secret = visit.house.catalog.tokens.create(
                visit.actor.name, name, scope, expires_at, grants=grants, by=visit.actor
            )
        except ConflictError:
            raise RequestError(f"you already have a token named {name!r}") from None
        return _render(visit, secret)

    return await threads.call(create)


def _scope(posting: Posting) -> Scope:
    try:
        return Scope(posting.field("scope"))
    except ValueError:
        raise RequestError("scope must be 'read', 'write' or 'fineGrained'") from None


def _grants(posting: Posting) -> list[Grant]:
    """The rows of the form that name a place; they count for fine-grained tokens only."""
    if posting.field("scope") != Scope.FINE_GRAINED.value:
        return []
    rows = [(posting.field(f"permission-{n}"), posting.field(f"where-{n}")) for n in GRANT_ROWS]
    return [Grant.parse(f"{permission}:{where}") for permission, where in rows if where]


def _expiry(days: str, now: datetime) -> datetime | None:
    if days == "":
        return None
    if days not in map(str, LIFETIMES_DAYS):
        raise RequestError(f"a token made here lasts {', '.join(map(str, LIFETIMES_DAYS))} days")
    return now + timedelta(days=int(days))


async def _revoke(request: Request) -> Response:
    posting = await posted_by_owner(request)
    visit, form = posting.visit, posting.form
    tokens = visit.house.catalog.tokens
    await threads.call(tokens.revoke, visit.actor.name, form.get("name", ""), by=visit.actor)
    return visit.redirect("/settings/tokens")


routes: list[BaseRoute] = [
    RawRoute("/settings/tokens", endpoint(_page), ("GET", "HEAD")),
    RawRoute("/settings/tokens", _create, ("POST",)),
    RawRoute("/settings/tokens/revoke", _revoke, ("POST",)),
]
