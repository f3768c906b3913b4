"""The answer to a shard as it is worked on: one JSON object a line, at least every second.

    {"type": "validating", "verified": bytes done, "total": bytes}    any number of times
    {"type": "result"}                                                done, last line
    {"type": "error", "message": text, "retryable": bool}             failed, last line

A proxy between client and hub gives up on a silent connection (nginx after 60 s), long
before a file of tens of gigabytes is hashed; these lines keep it open.
The events are `ShardUploadEvent` in https://github.com/huggingface/xet-core,
`xet_client/src/cas_types/mod.rs`; the client asks for them first and falls back on 404.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from threading import Lock

from cairn.errors import CairnError, UnavailableError
from cairn.hub import threads
from cairn.hub.xet.cas import Cas
from cairn.hub.xet.state import XetState
from cairn.hub.xet.verification import FilePlan

EVENT_EVERY_S = 1.0


class _Counter:
    """Plain bytes finished, counted from several threads."""

    def __init__(self, on_upload: Callable[[], None]) -> None:
        self.value = 0
        self._lock = Lock()
        self._on_upload = on_upload

    def add(self, amount: int) -> None:
        with self._lock:
            self.value += amount
        self._on_upload()


async def ingest_events(
    cas: Cas, plans: tuple[FilePlan, ...], state: XetState, on_upload: Callable[[], None]
) -> AsyncIterator[bytes]:
    """Materialise the planned files and tell how far it is.

    `on_upload` is called whenever more is done, from several threads. When the client goes
    away the work goes on, so that its next attempt finds it done.
    """
    total = sum(plan.size_bytes for plan in plans)
    done = _Counter(on_upload)

    async def work() -> None:
        async with state.shard_slots:
            await threads.call_long(cas.add_files, plans, done.add)

    task = asyncio.create_task(work())
    state.tasks.add(task)
    task.add_done_callback(lambda finished: _forget(state, finished))
    while not task.done():
        yield _line(type="validating", verified=done.value, total=total)
        await asyncio.wait({task}, timeout=EVENT_EVERY_S)
    try:
        await task
    except CairnError as error:
        yield error_event(error)
    else:
        yield _line(type="validating", verified=total, total=total)
        yield _line(type="result")


def error_event(error: CairnError) -> bytes:
    """The last line of an upload that failed."""
    retryable = isinstance(error, UnavailableError)
    return _line(type="error", message=str(error), retryable=retryable)


def _forget(state: XetState, task: "asyncio.Task[None]") -> None:
    state.tasks.discard(task)
    if not task.cancelled():
        task.exception()  # seen: a client that went away is not told, and nobody is alarmed


def _line(**event: str | int | bool) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"
