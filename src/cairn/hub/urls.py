"""Where the hub is reached from: the base of every absolute URL it hands out.

The Host header is the caller's claim, which `host_guard` has checked. With `public_url` set no URL
is made of it.
"""

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from cairn.config import Settings
from cairn.domain import RepoId


def base_url(request: Request) -> str:
    """Scheme, host and path prefix of this hub as the caller sees it, without a final slash."""
    settings: Settings = request.app.state.settings
    if settings.public_url:
        return settings.public_url.rstrip("/")
    return f"{request.url.scheme}://{request.headers.get('host', '')}"


def repo_url(request: Request, repo: RepoId) -> str:
    """The absolute URL of a repo's page."""
    return f"{base_url(request)}/{repo.url_path}"


class PathPrefix:
    """Strips the path of `public_url`, for proxies that pass it on unchanged."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._prefix = urlsplit(settings.public_url or "").path.rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with the prefix taken off its path."""
        if scope["type"] == "http" and self._prefix:
            raw = scope.get("raw_path") or scope["path"].encode()
            prefix = self._prefix.encode()
            if raw == prefix or raw.startswith(prefix + b"/"):
                stripped = scope["path"][len(self._prefix) :] or "/"
                scope = {**scope, "raw_path": raw[len(prefix) :] or b"/", "path": stripped}
        await self._app(scope, receive, send)
