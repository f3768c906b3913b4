"""Who makes a request: a token in the Authorization header, or a browser session.

API and client routes look at the header only. Pages may also use the session cookie;
then an unsafe method needs proof that the form was ours (`check_same_origin`).
"""

import base64
from urllib.parse import urlsplit

from starlette.requests import Request

from cairn.config import Settings
from cairn.domain import ANONYMOUS, Actor
from cairn.errors import ForbiddenError, UnauthenticatedError
from cairn.hub import threads
from cairn.hub.cookies import SESSION, cookie_of
from cairn.hub.errors import BAD_CREDENTIALS_MESSAGE
from cairn.hub.rate_limits import RateLimits, check_left, kind_of
from cairn.hub.scan_desk import ScanDesk
from cairn.hub.urls import base_url
from cairn.workflows.house import House
from cairn.workflows.releasing import Releasing
from cairn.workflows.security_report import DeskView
from cairn.workflows.sign_in import Caller

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def house_of(request: Request) -> House:
    """The opened rooms this hub serves."""
    house: House = request.app.state.house
    return house


def releasing_of(request: Request) -> Releasing:
    """What says whether files may be given out."""
    releasing: Releasing = request.app.state.releasing
    return releasing


def desk_of(request: Request) -> DeskView:
    """What the scanning process is at."""
    desk: ScanDesk = request.app.state.scans
    return DeskView(desk.is_at, desk.failure_of)


async def actor_of(request: Request) -> Actor:
    """The caller by its Authorization header; nobody without one.

    Raises:
        UnauthenticatedError: the header is malformed or its token is not known.
    """
    header = request.headers.get("authorization")
    token = _token(header) if header is not None else None
    if token is None:
        return _remember(request, ANONYMOUS)
    try:
        actor = await threads.call(house_of(request).catalog.tokens.actor, token)
    except UnauthenticatedError:
        _count(request, ANONYMOUS)
        raise UnauthenticatedError(BAD_CREDENTIALS_MESSAGE) from None
    return _remember(request, actor)


async def visitor_of(request: Request) -> Actor:
    """The caller of a page: by header, else by session cookie, else nobody.

    A cookie that is unknown or has expired is ignored, so that a page can still be shown.

    Raises:
        ForbiddenError: a request that changes something came from another site.
    """
    if "authorization" in request.headers:
        return await actor_of(request)
    cookie = cookie_of(request, SESSION)
    if not cookie:
        return _remember(request, ANONYMOUS)
    if request.method not in _SAFE_METHODS:
        check_same_origin(request)
    try:
        actor = await threads.call(house_of(request).catalog.sessions.actor, cookie)
    except UnauthenticatedError:
        actor = ANONYMOUS
    return _remember(request, actor)


def check_same_origin(request: Request) -> None:
    """Refuse requests that a page of another site made the browser send.

    Raises:
        ForbiddenError: neither Sec-Fetch-Site nor Origin says that the request is ours.
    """
    site = request.headers.get("sec-fetch-site")
    if site in ("same-origin", "none"):
        return
    origin = request.headers.get("origin", "")
    ours = urlsplit(base_url(request))
    if site is None and origin == f"{ours.scheme}://{ours.netloc}":
        return
    raise ForbiddenError("this request came from another site; reload the page and try again")


def caller_of(request: Request) -> Caller:
    """Whence a request comes, as far as that can be believed (see `trusted_proxies`)."""
    address = request.client.host if request.client is not None else "unknown"
    return Caller(address, request.headers.get("user-agent", ""))


def require_user(actor: Actor) -> Actor:
    """The actor, who must be somebody.

    Raises:
        UnauthenticatedError: it is nobody.
    """
    if actor.account is None:
        raise UnauthenticatedError("log in first: send a token as 'Authorization: Bearer ...'")
    return actor


def _remember(request: Request, actor: Actor) -> Actor:
    request.state.actor = actor
    _count(request, actor)
    return actor


def _count(request: Request, actor: Actor) -> None:
    """Count the request against whoever makes it, once.

    Raises:
        ThrottledError: it is one too many.
    """
    settings: Settings = request.app.state.settings
    nobody = actor.account is None
    quota = settings.rate_limit_anonymous if nobody else settings.rate_limit_account
    if not quota or hasattr(request.state, "allowance"):
        return
    subject = f"network {caller_of(request).network}" if nobody else f"account {actor.name}"
    limits: RateLimits = request.app.state.rate_limits
    request.state.allowance = limits.take(subject, kind_of(request.scope["path"]), quota)
    check_left(request.state.allowance)


def _token(header: str) -> str:
    """The token in `Bearer <token>` or, as git-lfs sends it, `Basic <user:token>`."""
    scheme, _, rest = header.strip().partition(" ")
    value = rest.strip()
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except ValueError:  # no base64, not even ASCII, or no UTF-8 in it
            raise UnauthenticatedError(BAD_CREDENTIALS_MESSAGE) from None
        value = password or user
    elif scheme.lower() != "bearer":
        raise UnauthenticatedError(BAD_CREDENTIALS_MESSAGE)
    if not value:
        raise UnauthenticatedError(BAD_CREDENTIALS_MESSAGE)
    return value
