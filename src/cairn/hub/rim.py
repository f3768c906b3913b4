"""What every response carries and what every request leaves behind.

The outermost layer: request id, security headers, one log line per request, and the
one place where an unexpected exception becomes a 500 that says nothing but its id.
"""

import re
import time
import uuid

import structlog
from starlette import datastructures
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cairn.config import Settings
from cairn.hub.browser_rules import Headers, browser_rules
from cairn.hub.errors import internal_error
from cairn.hub.rate_limits import Allowance

_log = structlog.get_logger("cairn.hub")
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:=;-]{1,128}\Z")

CLIENT_CLOSED_REQUEST = 499  # nginx's name for it; only ever seen in the log


def request_id(scope: Scope) -> str:
    """The caller's X-Request-Id if it is harmless, else a new one."""
    given = datastructures.Headers(scope=scope).get("x-request-id", "")
    return given if _REQUEST_ID.match(given) else uuid.uuid4().hex


class Rim:
    """ASGI middleware around the whole hub."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._rules = browser_rules(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request and log it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        passage = _Passage(scope, send, self._rules)
        try:
            await self._app(scope, receive, passage.send)
        except ClientDisconnect:
            passage.status = CLIENT_CLOSED_REQUEST
        except Exception as error:  # noqa: BLE001 - the rim of the process
            await passage.fail(error, receive)
        finally:
            passage.log()


class _Passage:
    """One request on its way through: its id, status, bytes sent and time."""

    def __init__(self, scope: Scope, send: Send, rules: Headers) -> None:
        self._scope = scope
        self._rules = rules
        self._send = send
        self._started_s = time.perf_counter()
        self.id = request_id(scope)
        self.status = 0
        self.sent_bytes = 0
        scope.setdefault("state", {})["request_id"] = self.id

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = message.setdefault("headers", [])
            present = {name.lower() for name, _ in headers}
            extra = [pair for pair in self._rules if pair[0] not in present]
            allowance: Allowance | None = self._scope["state"].get("allowance")
            extra += allowance.headers() if allowance else ()
            message["headers"] = [*headers, *extra, (b"x-request-id", self.id.encode())]
        elif message["type"] == "http.response.body":
            self.sent_bytes += len(message.get("body", b""))
        await self._send(message)

    async def fail(self, error: Exception, receive: Receive) -> None:
        """Answer 500 if nothing was sent yet; otherwise leave the response incomplete.

        An incomplete response makes the server close the connection, which is what
        tells the client that the body it got is not whole.
        """
        _log.error("request failed", request_id=self.id, path=self._path(), exc_info=error)
        if self.status == 0:
            response = internal_error(Request(self._scope), self.id)
            await response(self._scope, receive, self.send)

    def log(self) -> None:
        actor = getattr(Request(self._scope).state, "actor", None)
        _log.info(
            "request",
            method=self._scope["method"],
            path=self._path(),
            status=self.status,
            ms=round((time.perf_counter() - self._started_s) * 1e3, 1),
            sent_bytes=self.sent_bytes,
            actor=actor.name if actor is not None else None,
            request_id=self.id,
        )

    def _path(self) -> str:
        # Never the query: signed URLs carry their permission there.
        raw: bytes = self._scope.get("raw_path") or self._scope["path"].encode()
        return raw[:500].decode("latin-1")
