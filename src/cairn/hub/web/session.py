"""Signing in and out: a password or an access token is exchanged for a session kept on the server.

The cookie holds a random session id (`hub.cookies`, `catalog.sessions`). Signing in always makes a
new session, and the one before ends: a planted cookie is worth nothing.
"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from cairn.config import Settings
from cairn.errors import ThrottledError, UnauthenticatedError
from cairn.hub import threads
from cairn.hub.cookies import SESSION, cookie_of, delete_cookie, set_cookie
from cairn.hub.csrf import remember_visitor, send_visitor_cookie
from cairn.hub.identity import house_of
from cairn.hub.oidc.setup import oidc_of
from cairn.hub.routing import RawRoute
from cairn.hub.web.posting import Posting, posted
from cairn.hub.web.visit import Visit, endpoint
from cairn.workflows.sign_in import sign_in_with_password, sign_in_with_token

MAX_TOKEN_CHARACTERS = 400
WRONG_TOKEN = "This hub does not know that token. It may have expired or been revoked."  # noqa: S105
WRONG_PASSWORD = "The user name or the password is wrong."  # noqa: S105


def _login_page(visit: Visit) -> Response:
    return login_form(visit, visit.request.query_params.get("next", ""))


def login_form(visit: Visit, target: str, problem: str = "", status: int = 200) -> Response:
    """The page to sign in on, with what went wrong."""
    remember_visitor(visit.request)
    oidc = oidc_of(visit.request)
    response = visit.render(
        "login.html",
        status,
        next=local_target(target),
        problem=problem,
        provider=oidc.label if oidc else "",
    )
    send_visitor_cookie(visit.request, response)
    return response


async def _login(request: Request) -> Response:
    posting = await posted(request)
    target = local_target(posting.form.get("next", ""))
    token = posting.field("token")
    try:
        session = await (_by_token(posting, token) if token else _by_password(posting))
    except UnauthenticatedError:
        problem = WRONG_TOKEN if token else WRONG_PASSWORD
        return await threads.call(login_form, posting.visit, target, problem, 401)
    except ThrottledError as error:
        problem = f"Too many attempts. Try again in {round(error.retry_after_s / 60) or 1} minutes."
        page = await threads.call(login_form, posting.visit, target, problem, 429)
        page.headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
        return page
    return await enter(posting.visit, session, target)


async def _by_token(posting: Posting, token: str) -> str:
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise UnauthenticatedError("overlong token")
    house = posting.visit.house
    return await threads.call(sign_in_with_token, house, posting.limits, token, posting.caller)


async def _by_password(posting: Posting) -> str:
    return await threads.call_costly(
        sign_in_with_password,
        posting.visit.house,
        posting.limits,
        posting.field("name"),
        posting.form.get("password", ""),
        posting.caller,
    )


async def enter(visit: Visit, session: str, target: str) -> Response:
    """Go on to a page of ours with a new session; the one before ends."""
    await _end_session(visit)
    response = visit.redirect(target)
    settings: Settings = visit.request.app.state.settings
    set_cookie(visit.request, response, SESSION, session, settings.session_max_s)
    return response


async def _logout(request: Request) -> Response:
    posting = await posted(request)
    await _end_session(posting.visit)
    response = posting.visit.redirect("/")
    delete_cookie(request, response, SESSION)
    return response


async def _end_session(visit: Visit) -> None:
    cookie = cookie_of(visit.request, SESSION)
    if cookie:
        sessions = house_of(visit.request).catalog.sessions
        await threads.call(sessions.end, cookie, by=visit.actor)


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
