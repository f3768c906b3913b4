"""Sends a stored blob: whole or in part, from the raw file where there is one.

Blocks of 4 MiB are read in worker threads with `pread`. uvicorn takes the next block
only when the socket has drained, so a slow reader holds two blocks, never a file.
Behind nginx a raw file can be handed over by name (`X-Accel-Redirect`).
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path
from urllib.parse import quote

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from cairn.config import Settings
from cairn.domain import Blob
from cairn.errors import BlobNotFoundError, IntegrityError
from cairn.hub import ranges, threads
from cairn.hub.ranges import Part
from cairn.store import BlobStore

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
_SANDBOX = "default-src 'none'; style-src 'unsafe-inline'; sandbox"


def blob_response(
    request: Request, blob: Blob, path: str, etag: str, headers: Mapping[str, str]
) -> Response:
    """The answer to GET or HEAD for a blob known to clients as `path`, with an unquoted `etag`."""
    quoted = f'"{etag}"'
    part = ranges.select(request.method, request.headers, quoted, blob.size_bytes)
    full = {
        **headers,
        "ETag": quoted,
        "Accept-Ranges": "bytes",
        "Content-Security-Policy": _SANDBOX,
        "X-Content-Type-Options": "nosniff",
    }
    if part.status == 304:
        return Response(status_code=304, headers=full)
    if part.status == 416:
        full["Content-Range"] = f"bytes */{blob.size_bytes}"
        return Response(status_code=416, headers=full)
    full["Content-Disposition"] = content_disposition(path)
    full["Content-Type"] = _SHOWN.get(_suffix(path), "application/octet-stream")
    full["Content-Length"] = str(part.size_bytes)
    if part.status == 206:
        full["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{blob.size_bytes}"
    if request.method == "HEAD" or part.size_bytes == 0:
        return _head(part.status, full)
    return BlobResponse(request, blob, part, full)


def content_disposition(path: str) -> str:
    """`inline` or `attachment` with the file's name, in the two spellings HF clients read."""
    name = path.rsplit("/", 1)[-1]
    kind = "attachment" if _suffix(path) in _ACTIVE else "inline"
    plain = "".join(c if " " <= c <= "~" and c not in '"\\%' else "_" for c in name)
    return f"{kind}; filename*=UTF-8''{quote(name, safe='')}; filename=\"{plain}\";"


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower()  # noqa: PTH122 - a repo path, not a local one


def _head(status: int, headers: Mapping[str, str]) -> Response:
    response = Response(status_code=status)
    response.raw_headers = [(k.lower().encode(), v.encode("latin-1")) for k, v in headers.items()]
    return response


class BlobResponse(Response):
    """A body that is read while it is sent, and no further once the client has gone."""

    def __init__(
        self, request: Request, blob: Blob, part: Part, headers: Mapping[str, str]
    ) -> None:
        super().__init__(status_code=part.status)
        self.raw_headers = _head(part.status, headers).raw_headers
        self._blob = blob
        self._part = part
        self._store: BlobStore = request.app.state.house.store
        self._settings: Settings = request.app.state.settings
        self._accel = (
            self._settings.sendfile == "x-accel" and "x-cairn-no-accel" not in request.headers
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the part, or nginx's order to send it."""
        del scope  # all that matters in it was read from the request
        file = await threads.call(self._open_raw)
        try:
            if file is not None and self._accel:
                await self._send_order(send, Path(file.path))
                return
            source = self._from_file(file) if file is not None else self._from_reader()
            await self._send_body(receive, send, source)
        finally:
            if file is not None:
                file.close()

    def _open_raw(self) -> "_RawFile | None":
        path = self._store.local_path(self._blob.digest)
        if path is None:
            return None
        try:
            return _RawFile(path)
        except FileNotFoundError:  # optimized away since: the reader knows where it went
            return None

    async def _send_order(self, send: Send, path: Path) -> None:
        place = path.relative_to(self._settings.store_dir)
        target = self._settings.x_accel_prefix + quote(str(place))
        kept = [pair for pair in self.raw_headers if pair[0] not in _NGINX_SETS]
        headers = [*kept, (b"x-accel-redirect", target.encode()), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body"})

    async def _send_body(
        self, receive: Receive, send: Send, source: AsyncGenerator[bytes, None]
    ) -> None:
        left = self._part.size_bytes
        gone = asyncio.create_task(_disconnected(receive))
        try:
            async with aclosing(source) as blocks:
                async for block in blocks:
                    if left == self._part.size_bytes:
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

    async def _from_file(self, file: "_RawFile") -> AsyncGenerator[bytes, None]:
        at = self._part.start
        while at < self._part.stop:
            length = min(BLOCK_BYTES, self._part.stop - at)
            block = await threads.call(file.read_at, at, length)
            if len(block) != length:
                raise IntegrityError(
                    f"blob {self._blob.digest} ends at byte {at + len(block)},"
                    f" not at {self._blob.size_bytes}; run `cairn store verify`"
                )
            at += length
            yield block

    async def _from_reader(self) -> AsyncGenerator[bytes, None]:
        try:
            reader = await threads.call(self._store.open, self._blob.digest)
        except BlobNotFoundError:
            raise IntegrityError(
                f"a revision needs {self._blob.digest} and the store has lost it;"
                " run `cairn store verify` and upload it again"
            ) from None
        try:
            stream = reader.stream(self._part.start, self._part.stop, BLOCK_BYTES)
            async for block in threads.iterate(iter(stream)):
                yield block
        finally:
            with anyio.CancelScope(shield=True):
                await threads.call(reader.close)


class _RawFile:
    """An open raw file; stays readable when the name is removed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read_at(self, offset: int, length: int) -> bytes:
        return os.pread(self._descriptor, length, offset)

    def close(self) -> None:
        os.close(self._descriptor)


# nginx answers for status, length and range itself when it sends the file.
_NGINX_SETS = frozenset({b"content-length", b"content-range", b"x-accel-redirect"})


async def _disconnected(receive: Receive) -> None:
    """Return when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
