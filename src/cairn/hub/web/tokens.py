"""A visitor's own access tokens: list, create (shown once), revoke."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from cairn.domain import Scope
from cairn.errors import ConflictError, RequestError
from cairn.hub import threads
from cairn.hub.routing import RawRoute
from cairn.hub.web.posting import posted_by_owner
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


async def _create(request: Request) -> Response:
    posting = await posted_by_owner(request)
    visit, form = posting.visit, posting.form
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
