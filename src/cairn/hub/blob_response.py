"""Sends a stored blob: whole or in part, from the raw file where there is one.

Blocks are read in worker threads with `pread`. Behind nginx a raw file can be handed over by
name (`X-Accel-Redirect`).
"""

import os
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from urllib.parse import quote

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from cairn.config import Settings
from cairn.domain import Blob
from cairn.errors import BlobNotFoundError, IntegrityError
from cairn.hub import threads
from cairn.hub.file_response import BLOCK_BYTES, Answer, StreamedResponse, answer_for
from cairn.store import BlobStore


def blob_response(
    request: Request, blob: Blob, path: str, etag: str, headers: Mapping[str, str]
) -> Response:
    """The answer to GET or HEAD for a blob known to clients as `path`, with an unquoted `etag`."""
    answer = answer_for(request, blob.size_bytes, path, etag, headers)
    if request.method == "HEAD" or not answer.has_body:
        return answer.without_body()
    return BlobResponse(request, blob, answer)


class BlobResponse(StreamedResponse):
    """A part of a blob."""

    def __init__(self, request: Request, blob: Blob, answer: Answer) -> None:
        super().__init__(answer)
        self._blob = blob
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
            await self.send_body(receive, send, source)
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

    async def _from_file(self, file: "_RawFile") -> AsyncGenerator[bytes, None]:
        at = self.part.start
        while at < self.part.stop:
            length = min(BLOCK_BYTES, self.part.stop - at)
            block = await threads.call(file.read_at, at, length)
            if len(block) != length:
                raise IntegrityError(
                    f"blob {self._blob.digest} ends at byte {at + len(block)},"
                    f" not at {self._blob.size_bytes}; run `cairn store verify`"
                )
            at += length
            yield block

    async def _from_reader(self) -> AsyncGenerator[memoryview, None]:
        try:
            reader = await threads.call(self._store.open, self._blob.digest)
        except BlobNotFoundError:
            raise IntegrityError(
                f"a revision needs {self._blob.digest} and the store has lost it;"
                " run `cairn store verify` and upload it again"
            ) from None
        try:
            pieces = reader.pieces(self.part.start, self.part.stop, BLOCK_BYTES)
            async for piece in threads.iterate(pieces):
                yield piece
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
