"""Turns away requests for host names that nobody configured."""

import re
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from cairn.config import Settings
from cairn.errors import RequestError
from cairn.hub.errors import error_response

_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?\Z")

# Orchestrators ask under the address they know; all they learn is that the hub answers.
_FOR_PROBES = frozenset({"/api/cairn/health"})


class HostGuard:
    """Turns away requests for host names nobody configured, before anything trusts them.

    A name of an attacker's that leads to this hub (DNS rebinding) would make it a site of theirs
    in the browsers of a private network.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._any = "*" in settings.allowed_hosts
        public = urlsplit(settings.public_url or "").hostname or ""
        names = (*settings.allowed_hosts, settings.host, public)
        self._allowed = {name.strip("[]").lower() for name in names if name}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on requests for hosts that are ours; 400 for the others."""
        if scope["type"] == "http" and not self._any and scope["path"] not in _FOR_PROBES:
            given = [v.decode("latin-1") for k, v in scope["headers"] if k == b"host"]
            if not self.admits(given):
                shown = ", ".join(given)[:120]
                error = RequestError(
                    f"host {shown!r} is not one this hub answers for:"
                    " set CAIRN_PUBLIC_URL or add it to CAIRN_ALLOWED_HOSTS"
                )
                await error_response(Request(scope), error)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def admits(self, given: list[str]) -> bool:
        """Whether exactly one, well-formed and allowed Host header was sent."""
        found = _HOST.match(given[0]) if len(given) == 1 else None
        return found is not None and found["name"].strip("[]").lower() in self._allowed
