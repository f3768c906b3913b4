"""Proof that a form was filled in on our own page by whoever sends it.

Every form carries a token made of the cookie that the browser holds: of the session or, before
there is one, of a random cookie set with the page to sign in. A page of another site can make a
browser send the cookie and cannot know the token. What the browser says about where the request
came from is looked at as well (`identity.check_same_origin`).
"""

import secrets

from starlette.requests import Request
from starlette.responses import Response

from cairn.errors import ForbiddenError
from cairn.hub.cookies import SESSION, VISITOR, cookie_of, set_cookie
from cairn.hub.signing import Signer

FIELD = "csrf"
_VISIT_S = 24 * 3600
_MAX_CHARACTERS = 200


def csrf_token(request: Request) -> str:
    """A token for the forms of a page; empty if the browser holds no cookie to bind it to.

    It differs each time: one that stays the same could be guessed from the sizes of
    compressed pages (https://www.breachattack.com).
    """
    cookie = _bound_to(request)
    return _token(request, secrets.token_urlsafe(12), cookie) if cookie else ""


def check_csrf(request: Request, form: dict[str, str]) -> None:
    """Refuse a form that was not made for this browser's cookie.

    Raises:
        ForbiddenError: its token is missing, foreign, or of an earlier session.
    """
    given, cookie = form.get(FIELD, "")[:_MAX_CHARACTERS], _bound_to(request)
    nonce = given.partition(".")[0]
    wanted = _token(request, nonce, cookie)
    if not cookie or not secrets.compare_digest(given.encode("utf-8", "replace"), wanted.encode()):
        raise ForbiddenError("this form is out of date; reload the page and send it again")


def remember_visitor(request: Request) -> None:
    """Give a browser that holds no cookie one that the form on this page is bound to."""
    if not _bound_to(request):
        request.state.visitor_cookie = secrets.token_urlsafe(24)


def send_visitor_cookie(request: Request, response: Response) -> None:
    """Set the cookie that `remember_visitor` chose."""
    value = getattr(request.state, "visitor_cookie", "")
    if value:
        set_cookie(request, response, VISITOR, value, _VISIT_S)


def _bound_to(request: Request) -> str:
    fresh: str = getattr(request.state, "visitor_cookie", "")
    return fresh or cookie_of(request, SESSION) or cookie_of(request, VISITOR)


def _token(request: Request, nonce: str, cookie: str) -> str:
    signer: Signer = request.app.state.signer
    return f"{nonce}.{signer.name('csrf', f'{nonce} {cookie}')}"
