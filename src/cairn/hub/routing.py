"""Routes that match the path as it came over the wire, before percent-decoding.

HF clients put a whole revision or path into one URL segment: `refs%2Fpr%2F1` must stay
one parameter. Starlette matches the decoded path, where that difference is lost.
"""

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import unquote_to_bytes

from starlette.datastructures import URLPath
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import Receive, Scope, Send

from cairn.errors import RequestError

Endpoint = Callable[[Request], Awaitable[Response]]

_PARAMETER = re.compile(r"\{(\w+)(?::([\w|-]+))?\}")
_REPO_KINDS = "models|datasets|spaces"
_KINDS_BY_PREFIX = {"": "models", "datasets/": "datasets", "spaces/": "spaces"}


def _compile(template: str) -> re.Pattern[str]:
    """A regular expression for a template with `{one}`, `{rest:path}` and `{x:a|b}` parts."""
    pattern, at = "", 0
    for part in _PARAMETER.finditer(template):
        pattern += re.escape(template[at : part.start()])
        name, kind = part.groups()
        if kind is None:
            inner = "[^/]+"
        elif kind == "path":
            inner = ".+"
        else:
            inner = "|".join(re.escape(choice) for choice in kind.split("|"))
        pattern += f"(?P<{name}>{inner})"
        at = part.end()
    return re.compile(pattern + re.escape(template[at:]) + r"\Z", re.DOTALL)


def decode_segment(raw: str) -> str:
    """Percent-decode one URL part.

    Raises:
        RequestError: the decoded bytes are not UTF-8.
    """
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise RequestError(f"URL part {raw[:120]!r} is not percent-encoded UTF-8") from None


class RawRoute(BaseRoute):
    """One path template, its methods and its endpoint `async (Request) -> Response`.

    `{name}` takes one raw segment and decodes it, `{name:path}` takes all that is left,
    `{name:a|b}` takes one of the words. HEAD is answered only where it is listed.
    `fixed` are path parameters every match gets, for routes that share an endpoint.
    """

    def __init__(
        self,
        template: str,
        endpoint: Endpoint,
        methods: Iterable[str] = ("GET",),
        *,
        fixed: dict[str, str] | None = None,
    ) -> None:
        self.template = template
        self.endpoint = endpoint
        self.methods = frozenset(methods)
        self._fixed = fixed or {}
        self._pattern = _compile(template)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether path and method (FULL), only the path (PARTIAL) or nothing (NONE) fits."""
        if scope["type"] != "http":
            return Match.NONE, {}
        found = self._pattern.match(raw_path(scope))
        if found is None:
            return Match.NONE, {}
        child: dict[str, Any] = {
            "endpoint": self.endpoint,
            "raw_params": found.groupdict(),
            "route_template": self.template,
        }
        full = scope["method"] in self.methods
        return (Match.FULL if full else Match.PARTIAL), child

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Decode the parameters and run the endpoint; 405 names the methods allowed."""
        if scope["method"] not in self.methods:
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(self.methods))})
        params = {name: decode_segment(raw) for name, raw in scope["raw_params"].items()}
        scope["path_params"] = {**self._fixed, **params}
        response = await self.endpoint(Request(scope, receive, send))
        await response(scope, receive, send)

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """Raw routes are not reversed: URLs are written out where they are needed."""
        raise NoMatchFound(name, path_params)

    def __repr__(self) -> str:
        return f"RawRoute({self.template!r}, {sorted(self.methods)})"


def raw_path(scope: Scope) -> str:
    """The request path as sent, without the query, still percent-encoded."""
    raw = scope.get("raw_path")
    return raw.decode("latin-1") if raw else str(scope["path"])


def api_route(suffix: str, endpoint: Endpoint, *methods: str) -> RawRoute:
    """A route below `/api/{kind}/{namespace}/{name}`, for all three kinds of repo."""
    template = f"/api/{{kind:{_REPO_KINDS}}}/{{namespace}}/{{name}}{suffix}"
    return RawRoute(template, endpoint, methods or ("GET",))


def repo_routes(suffix: str, endpoint: Endpoint, *methods: str) -> list[RawRoute]:
    """Routes below `/{namespace}/{name}`, `/datasets/...` and `/spaces/...`.

    The prefixed ones come first: `/datasets/a/b` is a dataset, not the model `datasets/a`.
    """
    return [
        RawRoute(
            f"/{prefix}{{namespace}}/{{name}}{suffix}",
            endpoint,
            methods or ("GET",),
            fixed={"kind": kind},
        )
        for prefix, kind in reversed(_KINDS_BY_PREFIX.items())
    ]
