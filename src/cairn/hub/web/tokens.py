"""A visitor's own access tokens: list, create (shown once), revoke."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from cairn.domain import Actor, Scope
from cairn.errors import ConflictError, ForbiddenError, RequestError
from cairn.hub import threads
from cairn.hub.identity import house_of, visitor_of
from cairn.hub.routing import RawRoute
from cairn.hub.web.forms import read_form
from cairn.hub.web.visit import Visit, endpoint


def _page(visit: Visit) -> Response:
    if visit.actor.account is None:
        return visit.redirect("/login?next=/settings/tokens")
    return _render(visit, "")


def _render(visit: Visit, fresh: str) -> Response:
    return visit.render(
        "tokens.html",
        tokens=visit.house.catalog.tokens.list(visit.actor.name),
        fresh=fresh,
        may_write=visit.actor.scope is Scope.WRITE,
        now=visit.now,
    )


def _require_writer(actor: Actor) -> None:
    """A read token must not be a way to get a write token."""
    if actor.account is None:
        raise ForbiddenError("sign in first")
    if actor.scope is not Scope.WRITE:
        raise ForbiddenError("sign in with a write token to change your tokens")


async def _create(request: Request) -> Response:
    visit = Visit(request, house_of(request), await visitor_of(request))
    _require_writer(visit.actor)
    form = await read_form(request)
    name = form.get("name", "").strip()
    try:
        scope = Scope(form.get("scope", ""))
    except ValueError:
        raise RequestError("scope must be 'read' or 'write'") from None

    def create() -> Response:
        try:
            secret = visit.house.catalog.tokens.create(
                visit.actor.name, name, scope, by=visit.actor
            )
        except ConflictError:
            raise RequestError(f"you already have a token named {name!r}") from None
        return _render(visit, secret)

    return await threads.call(create)


async def _revoke(request: Request) -> Response:
    visit = Visit(request, house_of(request), await visitor_of(request))
    _require_writer(visit.actor)
    form = await read_form(request)
    tokens = visit.house.catalog.tokens
    await threads.call(tokens.revoke, visit.actor.name, form.get("name", ""), by=visit.actor)
    return visit.redirect("/settings/tokens")


routes: list[BaseRoute] = [
    RawRoute("/settings/tokens", endpoint(_page), ("GET", "HEAD")),
    RawRoute("/settings/tokens", _create, ("POST",)),
    RawRoute("/settings/tokens/revoke", _revoke, ("POST",)),
]
