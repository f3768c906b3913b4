"""How each error looks over HTTP: status, the code HF clients branch on, one line of text.

The codes are the `X-Error-Code` values of huggingface_hub's `utils/_http.py`
(`hf_raise_for_status`): RepoNotFound, RevisionNotFound, EntryNotFound, GatedRepo.
"""

import math
import re
from collections.abc import Awaitable, Callable
from typing import cast

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from cairn import errors
from cairn.errors import CairnError
from cairn.hub.urls import base_url

DISABLED_MESSAGE = "Access to this resource is disabled."
BAD_CREDENTIALS_MESSAGE = "Invalid credentials in Authorization header"
MAX_MESSAGE_CHARS = 1000

# The nearest ancestor in this table decides.
_ANSWERS: dict[type[BaseException], tuple[int, str]] = {
    errors.RequestError: (400, "BadRequest"),
    errors.UnauthenticatedError: (401, "Unauthenticated"),
    errors.ForbiddenError: (403, "Forbidden"),
    errors.GatedError: (403, "GatedRepo"),
    errors.BlockedError: (403, "DisabledRepo"),
    # Not 403: clients would tell people to look at their token's permissions.
    errors.QuotaError: (413, "QuotaExceeded"),
    errors.NotFoundError: (404, "NotFound"),
    errors.RepoNotFoundError: (404, "RepoNotFound"),
    errors.RevisionNotFoundError: (404, "RevisionNotFound"),
    errors.EntryNotFoundError: (404, "EntryNotFound"),
    errors.ConflictError: (409, "Conflict"),
    errors.StaleParentError: (412, "StaleParent"),
    errors.UntrustedDataError: (400, "BadData"),
    errors.LimitError: (413, "TooLarge"),
    errors.IntegrityError: (500, "Integrity"),
    errors.ThrottledError: (429, "TooManyRequests"),
    errors.UnavailableError: (503, "Unavailable"),
    errors.MissingExtraError: (501, "MissingExtra"),
}
_LFS = "/info/lfs/"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")

ErrorPage = Callable[[Request, int, str, str], Response]
"""Makes a page of status, message, and the path of the page that helps on, if there is one."""


def status_and_code(error: CairnError) -> tuple[int, str]:
    """HTTP status and `X-Error-Code` for an error."""
    for kind in type(error).__mro__:
        if kind in _ANSWERS:
            return _ANSWERS[kind]
    return 500, "Internal"


def header_text(message: str) -> str:
    """A message as one header line: no control characters, ASCII, bounded."""
    line = _CONTROL.sub(" ", message).strip()[:MAX_MESSAGE_CHARS]
    # Clients disagree on whether a header is Latin-1 or UTF-8; on ASCII they agree.
    return line.encode("ascii", "replace").decode("ascii")


def error_response(request: Request, error: CairnError) -> Response:
    """The answer for an error raised while serving `request`."""
    status, code = status_and_code(error)
    message = str(error)
    headers: dict[str, str] = {}
    if isinstance(error, errors.BlockedError):
        message = DISABLED_MESSAGE  # the very words HF clients turn into DisabledRepoError
    if isinstance(error, errors.IntegrityError) and request.method not in ("GET", "HEAD"):
        status, code = 400, "BadDigest"  # the caller's bytes are wrong, not ours
    if isinstance(error, errors.EntryNotFoundError) and error.commit:
        headers["X-Repo-Commit"] = error.commit
    if _anonymous(request) and isinstance(error, errors.RepoNotFoundError | errors.GatedError):
        status = 401  # a login may help; whether the repo exists is not told
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer, Basic realm="cairn"'
    if isinstance(error, errors.ThrottledError):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    if status == 503:
        headers["Retry-After"] = "5"
    if status == 413:
        headers["Connection"] = "close"  # else the server would read the rest and throw it away
    ask_at = error.page if isinstance(error, errors.GatedError) else ""
    return _answer(request, status, code, message, headers, ask_at)


def internal_error(request: Request, request_id: str) -> Response:
    """The answer for an unexpected exception: nothing but the id to find it by in the log."""
    text = f"internal error; the hub's log has it under request id {request_id}"
    return _answer(request, 500, "Internal", text, {})


def _anonymous(request: Request) -> bool:
    actor = getattr(request.state, "actor", None)
    return actor is not None and actor.account is None


def _answer(
    request: Request,
    status: int,
    code: str,
    message: str,
    headers: dict[str, str],
    ask_at: str = "",
) -> Response:
    told = f"{message} Visit {base_url(request)}/{ask_at} to ask for access." if ask_at else message
    headers = {**headers, "X-Error-Code": code, "X-Error-Message": header_text(told)}
    page: ErrorPage | None = (
        getattr(request.app.state, "error_page", None) if "app" in request.scope else None
    )
    if page is not None and _wants_page(request):
        shown_status = 404 if code == "RepoNotFound" else status
        response = page(request, shown_status, message, ask_at)
        # A browser would answer a challenge with its own password box, over the page.
        response.headers.update({k: v for k, v in headers.items() if k != "WWW-Authenticate"})
        return response
    body = {"error": told}
    if _LFS in request.scope["path"]:
        body["message"] = told  # the field that git-lfs shows
    return JSONResponse(body, status, headers)


def _wants_page(request: Request) -> bool:
    """Whether a person in a browser asked for a page, rather than a client for data."""
    path = request.scope["path"]
    return (
        "text/html" in request.headers.get("accept", "")
        and not path.startswith(("/api/", "/cas/"))
        and _LFS not in path
    )


async def _on_cairn_error(request: Request, error: Exception) -> Response:
    return error_response(request, cast("CairnError", error))


async def _on_http_error(request: Request, error: Exception) -> Response:
    known = cast("HTTPException", error)
    text = {404: f"no such page or endpoint: {request.method} {request.scope['path'][:200]}"}
    message = text.get(known.status_code, str(known.detail))
    headers = dict(known.headers or {})
    return _answer(
        request,
        known.status_code,
        "NotFound"
        if known.status_code == 404
        else "MethodNotAllowed"
        if known.status_code == 405
        else "Error",
        message,
        headers,
    )


async def _on_validation_error(request: Request, error: Exception) -> Response:
    problems = cast("RequestValidationError", error).errors()
    message = "; ".join(f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in problems[:5])
    return _answer(request, 422, "BadRequest", message, {})


def install(app: FastAPI) -> None:
    """Make `app` answer every expected error in this module's way."""
    handlers: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
        CairnError: _on_cairn_error,
        HTTPException: _on_http_error,
        RequestValidationError: _on_validation_error,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
