"""What the Xet endpoints of one process share: memory for bodies, slots, work under way.

None of it outlives the process or is needed for correctness: it only bounds resources and
keeps repeated requests from doing the same work twice.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from cairn.hub.xet.bodies import Budget
from cairn.hub.xet.materialise import Inflight

# Each shard decodes and hashes in parallel by itself; fewer than `threads.MAX_LONG_CALLS`,
# so that xorbs still find a thread while shards are at work.
SHARDS_AT_ONCE = 4
GUESSES_REMEMBERED = 4096


class Seen:
    """Remembers the last so many keys."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._keys: OrderedDict[str, None] = OrderedDict()

    def add(self, key: str) -> bool:
        """Remember a key; returns whether it is new."""
        if key in self._keys:
            return False
        self._keys[key] = None
        if len(self._keys) > self._size:
            self._keys.popitem(last=False)
        return True


@dataclass(frozen=True)
class XetState:
    """One per application."""

    budget: Budget = field(default_factory=Budget)
    inflight: Inflight = field(default_factory=Inflight)
    shard_slots: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(SHARDS_AT_ONCE)
    )
    # Xet tokens, one an upload, that were told what they may build on; again would be useless.
    guessed: Seen = field(default_factory=lambda: Seen(GUESSES_REMEMBERED))
    # Keeps work alive whose client has gone: its retry will find the result.
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)


def state_of(request: Request) -> XetState:
    """The state of the application that serves `request`, made at first use."""
    app_state = request.app.state
    if not hasattr(app_state, "xet"):
        app_state.xet = XetState()
    state: XetState = app_state.xet
    return state
