"""The cookies of pages: their names, and what browsers are told about them.

Over https a name begins with `__Host-`: the browser then takes the cookie only from this very host,
over https, for all paths, so that no neighbouring site can plant one
(https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis, section 4.1.3.2).
"""

from starlette.requests import Request
from starlette.responses import Response

from cairn.hub.urls import base_url

SESSION = "cairn_session"
VISITOR = "cairn_visitor"


def cookie_of(request: Request, name: str) -> str:
    """The value of one of our cookies, empty if the browser sent none."""
    return request.cookies.get(_full_name(request, name), "")


def set_cookie(request: Request, response: Response, name: str, value: str, ttl_s: float) -> None:
    """Have the browser keep a cookie: for us alone, out of reach of scripts."""
    response.set_cookie(
        _full_name(request, name),
        value,
        max_age=int(ttl_s),
        path="/",
        secure=_is_secure(request),
        httponly=True,
        samesite="lax",
    )


def delete_cookie(request: Request, response: Response, name: str) -> None:
    """Have the browser forget a cookie; told as it was set, or `__Host-` ones stay."""
    response.delete_cookie(
        _full_name(request, name),
        path="/",
        secure=_is_secure(request),
        httponly=True,
        samesite="lax",
    )


def _full_name(request: Request, name: str) -> str:
    return f"__Host-{name}" if _is_secure(request) else name


def _is_secure(request: Request) -> bool:
    return base_url(request).startswith("https:")
