"""Sends a safetensors view block by block: spans of a stored blob, and computed values."""

from collections.abc import AsyncGenerator

import anyio
from starlette.types import Receive, Scope, Send

from cairn.formats.reframed_source import ReframedSource
from cairn.hub import threads
from cairn.hub.file_response import BLOCK_BYTES, Answer, StreamedResponse
from cairn.workflows.house import House
from cairn.workflows.views import SafetensorsView


class ViewResponse(StreamedResponse):
    """A part of a view."""

    def __init__(self, view: SafetensorsView, house: House, answer: Answer) -> None:
        super().__init__(answer)
        self._view = view
        self._house = house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the part."""
        del scope  # all that matters in it was read from the request
        await self.send_body(receive, send, self._blocks())

    async def _blocks(self) -> AsyncGenerator[bytes, None]:
        view = self._view
        source = ReframedSource(view.reframing, view.files(self._house), view.name)
        try:
            at = self.part.start
            while at < self.part.stop:
                block = await threads.call(
                    source.read_at, at, min(BLOCK_BYTES, self.part.stop - at)
                )
                at += len(block)
                yield block
        finally:
            with anyio.CancelScope(shield=True):
                await threads.call(source.close)
