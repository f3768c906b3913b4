"""Signing in and out: an access token is exchanged for a session kept on the server.

The cookie holds a random session id, never the token; it is HttpOnly, SameSite=Lax and,
over https, Secure. Forms are accepted from our own pages only.
"""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from cairn.errors import UnauthenticatedError
from cairn.hub import threads
from cairn.hub.identity import SESSION_COOKIE, check_same_origin, house_of, visitor_of
from cairn.hub.routing import RawRoute
from cairn.hub.urls import base_url
from cairn.hub.web.forms import read_form
from cairn.hub.web.visit import Visit, endpoint

SESSION_TTL_S = 14 * 24 * 3600
MAX_TOKEN_CHARACTERS = 400


def _login_page(visit: Visit) -> Response:
    return _form(visit, visit.request.query_params.get("next", ""), "")


def _form(visit: Visit, target: str, problem: str) -> Response:
    status = 401 if problem else 200
    return visit.render("login.html", status, next=local_target(target), problem=problem)


async def _login(request: Request) -> Response:
    check_same_origin(request)
    form = await read_form(request)
    visitor = Visit(request, house_of(request), await visitor_of(request))
    target = local_target(form.get("next", ""))
    tokens = visitor.house.catalog.tokens
    given = form.get("token", "").strip()
    try:
        if not 0 < len(given) <= MAX_TOKEN_CHARACTERS:
            raise UnauthenticatedError("empty or overlong token")
        actor = await threads.call(tokens.actor, given)
        session = await threads.call(tokens.start_session, actor, SESSION_TTL_S)
    except UnauthenticatedError:
        problem = "This hub does not know that token. It may have expired or been revoked."
        return await threads.call(_form, visitor, target, problem)
    await _end_session(request)
    response = visitor.redirect(target)
    response.set_cookie(
        SESSION_COOKIE,
        session,
        max_age=SESSION_TTL_S,
        path="/",
        secure=base_url(request).startswith("https:"),
        httponly=True,
        samesite="lax",
    )
    return response


async def _logout(request: Request) -> Response:
    check_same_origin(request)
    await _end_session(request)
    visitor = Visit(request, house_of(request), await visitor_of(request))
    response = visitor.redirect("/")
    assert isinstance(response, RedirectResponse)
    response.delete_cookie(SESSION_COOKIE, path="/")
    return response


async def _end_session(request: Request) -> None:
    cookie = request.cookies.get(SESSION_COOKIE)
    if cookie:
        await threads.call(house_of(request).catalog.tokens.end_session, cookie)


def local_target(target: str) -> str:
    """A path on this hub to go to after signing in; anything else becomes the start page.

    Browsers read two slashes, or a slash and a backslash, as the start of another host,
    and drop tabs and newlines.
    """
    plain = target.isascii() and target.isprintable() and "\\" not in target
    if plain and target.startswith("/") and not target.startswith("//") and len(target) < 2000:
        return target
    return "/"


routes: list[BaseRoute] = [
    RawRoute("/login", endpoint(_login_page), ("GET", "HEAD")),
    RawRoute("/login", _login, ("POST",)),
    RawRoute("/logout", _logout, ("POST",)),
]
