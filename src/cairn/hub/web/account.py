"""One's own account: the password, browsers that are signed in, gated repos that were asked for."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from cairn.config import Settings
from cairn.domain import Scope
from cairn.errors import RequestError, ThrottledError, UnauthenticatedError
from cairn.hub import threads
from cairn.hub.cookies import SESSION, cookie_of
from cairn.hub.oidc.setup import oidc_of
from cairn.hub.routing import RawRoute
from cairn.hub.web.posting import Posting, posted_by_owner
from cairn.hub.web.session import enter
from cairn.hub.web.visit import Visit, endpoint
from cairn.workflows.access import require_person
from cairn.workflows.sign_in import PASSWORD, change_password

PAGE = "/settings/account"
MAX_GATED = 100
WRONG = "That is not your password now."


def _page(visit: Visit) -> Response:
    if visit.actor.account is None:
        return visit.redirect(f"/login?next={PAGE}")
    require_person(visit.actor)
    return account_page(visit)


def account_page(visit: Visit, problem: str = "", status: int = 200) -> Response:
    """The page of the visitor's own account, with what went wrong."""
    catalog, settings, oidc = visit.house.catalog, _settings(visit), oidc_of(visit.request)
    return visit.render(
        "account.html",
        status,
        account=visit.actor.account,
        has_password=catalog.passwords.exists(visit.actor.name),
        min_characters=settings.password_min_characters,
        sessions=catalog.sessions.list(visit.actor.name, cookie_of(visit.request, SESSION)),
        identities=catalog.identities.list(visit.actor.name),
        provider=oidc.label if oidc else "",
        gated=catalog.access_requests.of_person(visit.actor, MAX_GATED),
        may_write=visit.actor.scope is Scope.WRITE,
        problem=problem,
        now=visit.now,
    )


def _settings(visit: Visit) -> Settings:
    settings: Settings = visit.request.app.state.settings
    return settings


async def _set_password(request: Request) -> Response:
    posting = await posted_by_owner(request)
    new = posting.form.get("new", "")
    if new != posting.form.get("again", ""):
        return await _refused(posting, "The two new passwords differ.", 400)
    old = posting.form.get("old", "")
    try:
        session = await threads.call_costly(_change_password, posting, old, new)
    except UnauthenticatedError:
        return await _refused(posting, WRONG, 403)
    except ThrottledError:
        return await _refused(posting, "Too many attempts. Try again in some minutes.", 429)
    except RequestError as error:
        return await _refused(posting, f"{str(error)[:1].upper()}{str(error)[1:]}.", 400)
    return await enter(posting.visit, session, PAGE)


def _change_password(posting: Posting, old: str, new: str) -> str:
    """Whoever knew the old password is signed out everywhere; this browser gets a new session."""
    visit, caller = posting.visit, posting.caller
    change_password(visit.house, posting.limits, visit.actor, old, new, caller)
    sessions = visit.house.catalog.sessions
    sessions.revoke_all(visit.actor.name, by=visit.actor)
    return sessions.start(visit.actor.name, PASSWORD, address=caller.address, agent=caller.agent)


async def _refused(posting: Posting, problem: str, status: int) -> Response:
    return await threads.call(account_page, posting.visit, problem, status)


async def _end_session(request: Request) -> Response:
    posting = await posted_by_owner(request)
    number = posting.field("session")
    if not (number.isascii() and number.isdecimal() and len(number) < 19):
        raise RequestError("session must be a number")
    visit = posting.visit
    sessions = visit.house.catalog.sessions
    await threads.call(sessions.revoke, visit.actor.name, int(number), by=visit.actor)
    return visit.redirect(PAGE)


async def _end_others(request: Request) -> Response:
    posting = await posted_by_owner(request)
    visit = posting.visit
    own = cookie_of(request, SESSION)
    sessions = visit.house.catalog.sessions
    await threads.call(sessions.revoke_all, visit.actor.name, but=own, by=visit.actor)
    return visit.redirect(PAGE)


routes: list[BaseRoute] = [
    RawRoute(PAGE, endpoint(_page), ("GET", "HEAD")),
    RawRoute(f"{PAGE}/password", _set_password, ("POST",)),
    RawRoute(f"{PAGE}/sessions/end", _end_session, ("POST",)),
    RawRoute(f"{PAGE}/sessions/end-others", _end_others, ("POST",)),
]
