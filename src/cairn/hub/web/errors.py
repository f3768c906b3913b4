"""What a person sees when something is not there, not allowed, or went wrong."""

from starlette.requests import Request
from starlette.responses import Response

from cairn.domain import ANONYMOUS
from cairn.hub.web.visit import render

_HEADINGS = {
    400: "That does not work",
    401: "Please sign in",
    403: "Not for you",
    404: "Nothing here",
    405: "That does not work",
    413: "Too much",
    416: "Out of range",
    422: "That does not work",
    500: "Our mistake",
    503: "Back in a moment",
}
_HINTS = {
    404: "It may have been renamed or removed, or it is private and not shared with you.",
    500: "The log of this hub has the details under the request id below.",
    503: "The hub is busy or starting. Try again in a few seconds.",
}


def error_page(request: Request, status: int, message: str, ask_at: str) -> Response:
    """The page for an error; `message` is shown as text, whatever it holds.

    `ask_at` is the path of the page where access is asked for; empty for none.
    """
    viewer = getattr(request.state, "actor", ANONYMOUS)
    return render(
        request,
        "error.html",
        status,
        status=status,
        heading="Ask first" if ask_at else _HEADINGS.get(status, "Something went wrong"),
        message=message,
        hint=_HINTS.get(status, ""),
        ask_at=ask_at,
        offer_login=viewer.account is None and status in (401, 403, 404),
        request_id=getattr(request.state, "request_id", ""),
        viewer=viewer,
    )
