"""What the routes of the HF wire read from a request, and how they page."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request

from cairn.domain import RepoId, RepoType
from cairn.errors import NamingError, RepoNotFoundError, RequestError
from cairn.hub.routing import raw_path
from cairn.hub.urls import base_url


def repo_id_of(request: Request) -> RepoId:
    """The repo in the path.

    Raises:
        RepoNotFoundError: no repo can have this name.
    """
    params = request.path_params
    try:
        kind = RepoType.from_plural(params["kind"])
        return RepoId(kind, params["namespace"], params["name"])
    except NamingError as error:
        raise RepoNotFoundError(str(error)) from None


def revision_of(request: Request) -> str | None:
    """The revision in the path; None where the route has none."""
    value: str | None = request.path_params.get("revision")
    return value


def flag_of(request: Request, name: str) -> bool:
    """A boolean query parameter: `true`, `True`, `1`."""
    return request.query_params.get(name, "").lower() in ("true", "1", "yes")


def many_of(request: Request, name: str) -> list[str]:
    """A repeated query parameter; old clients write `name[]`."""
    query = request.query_params
    return [*query.getlist(name), *query.getlist(f"{name}[]")]


def count_of(request: Request, name: str, default: int, most: int, least: int = 1) -> int:
    """A whole number from the query, cut to `least` .. `most`.

    Raises:
        RequestError: it is no number.
    """
    text = request.query_params.get(name)
    if not text:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise RequestError(f"query parameter {name}={text[:40]!r} must be a whole number")
    return max(least, min(int(text), most))


def next_link(request: Request, **changes: str) -> Mapping[str, str]:
    """A Link header to the same URL with some query parameters changed.

    Clients follow it as it is, so it must be absolute.
    """
    kept = [(k, v) for k, v in request.query_params.multi_items() if k not in changes]
    query = urlencode([*kept, *changes.items()])
    url = f"{base_url(request)}{raw_path(request.scope)}?{query}"
    return {"Link": f'<{url}>; rel="next"'}


def repo_type_in(body: Mapping[str, Any]) -> RepoType:
    """The repo type a JSON body names; models when it names none.

    Raises:
        RequestError: it names an unknown one.
    """
    text = body.get("type") or "model"
    try:
        return RepoType(text)
    except ValueError:
        raise RequestError(
            f"unknown repo type {str(text)[:40]!r}; known: model, dataset, space"
        ) from None
