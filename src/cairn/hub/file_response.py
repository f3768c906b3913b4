"""Answers with the bytes of one immutable file: headers, ranges, and a body sent in blocks.

uvicorn takes the next block only when the socket has drained, so a slow reader holds two
blocks, never a file; and no further block is read once the client has gone.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Send

from cairn.hub import ranges
from cairn.hub.browser_rules import SANDBOX_POLICY
from cairn.hub.ranges import Part

BLOCK_BYTES = 4 << 20  # measured in docs/decisions/0006-http.md

# Content-Type by suffix, for what a browser may show; everything else is a download.
_SHOWN = {
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".md": "text/plain; charset=utf-8",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".png": "image/png",
    ".txt": "text/plain; charset=utf-8",
    ".wav": "audio/wav",
    ".webp": "image/webp",
    ".yaml": "text/plain; charset=utf-8",
    ".yml": "text/plain; charset=utf-8",
    ".py": "text/plain; charset=utf-8",
    ".csv": "text/plain; charset=utf-8",
}
# Types that can carry script: never shown inline from the hub's own origin.
_ACTIVE = frozenset({".html", ".htm", ".xhtml", ".svg", ".xml", ".xsl", ".mht", ".mhtml", ".pdf"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said before the body: the part asked for, and all headers."""

    part: Part
    headers: Mapping[str, str]

    @property
    def has_body(self) -> bool:
        """Whether bytes of the file follow."""
        return self.part.status in (200, 206) and self.part.size_bytes > 0

    def without_body(self) -> Response:
        """The answer when none do, and to HEAD."""
        response = Response(status_code=self.part.status)
        pairs = self.headers.items()
        response.raw_headers = [(k.lower().encode(), v.encode("latin-1")) for k, v in pairs]
        return response


def answer_for(
    request: Request, size_bytes: int, path: str, etag: str, headers: Mapping[str, str]
) -> Answer:
    """What GET or HEAD gets for a file known to clients as `path`, with an unquoted `etag`."""
    quoted = f'"{etag}"'
    part = ranges.select(request.method, request.headers, quoted, size_bytes)
    full = {
        **headers,
        "ETag": quoted,
        "Accept-Ranges": "bytes",
        "Content-Security-Policy": SANDBOX_POLICY,
        "X-Content-Type-Options": "nosniff",
    }
    if part.status == 304:
        return Answer(part, full)
    if part.status == 416:
        return Answer(
            part, {**full, "Content-Range": f"bytes */{size_bytes}", "Content-Length": "0"}
        )
    full["Content-Disposition"] = content_disposition(path)
    full["Content-Type"] = _SHOWN.get(_suffix(path), "application/octet-stream")
    full["Content-Length"] = str(part.size_bytes)
    if part.status == 206:
        full["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size_bytes}"
    return Answer(part, full)


def content_disposition(path: str) -> str:
    """`inline` or `attachment` with the file's name, in the two spellings HF clients read."""
    name = path.rsplit("/", 1)[-1]
    kind = "attachment" if _suffix(path) in _ACTIVE else "inline"
    plain = "".join(c if " " <= c <= "~" and c not in '"\\%' else "_" for c in name)
    return f"{kind}; filename*=UTF-8''{quote(name, safe='')}; filename=\"{plain}\";"


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower()  # noqa: PTH122 - a repo path, not a local one


class StreamedResponse(Response):
    """A body that is read while it is sent, and no further once the client has gone."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(status_code=answer.part.status)
        self.raw_headers = answer.without_body().raw_headers
        self.part = answer.part

    async def send_body(
        self, receive: Receive, send: Send, source: AsyncGenerator[bytes | memoryview, None]
    ) -> None:
        """Send what `source` gives, which must be the bytes of the part."""
        left = self.part.size_bytes
        gone = asyncio.create_task(_disconnected(receive))
        try:
            async with aclosing(source) as blocks:
                async for block in blocks:
                    if left == self.part.size_bytes:
                        # Only now: a blob that cannot be read still becomes an error answer.
                        await self._send_start(send)
                    if gone.done():  # uvicorn only drops what is sent to a client that left
                        return
                    left -= len(block)
                    body = {"type": "http.response.body", "body": block, "more_body": left > 0}
                    await send(body)
        finally:
            gone.cancel()

    async def _send_start(self, send: Send) -> None:
        start = {"type": "http.response.start", "status": self.status_code}
        await send({**start, "headers": list(self.raw_headers)})


async def _disconnected(receive: Receive) -> None:
    """Return when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
