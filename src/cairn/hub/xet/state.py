"""What the Xet endpoints of one process share: memory for bodies, slots, work under way.

None of it outlives the process or is needed for correctness: it only bounds resources and
keeps repeated requests from doing the same work twice.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from cairn.hub.xet.bodies import Budget
from cairn.hub.xet.materialise import Inflight

# Each shard decodes and hashes in parallel by itself; fewer than `threads.MAX_LONG_CALLS`,
# so that xorbs still find a thread while shards are at work.
SHARDS_AT_ONCE = 4


@dataclass(frozen=True)
class XetState:
    """One per application."""

    budget: Budget = field(default_factory=Budget)
    inflight: Inflight = field(default_factory=Inflight)
    shard_slots: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(SHARDS_AT_ONCE)
    )
    # Keeps work alive whose client has gone: its retry will find the result.
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)


def state_of(request: Request) -> XetState:
    """The state of the application that serves `request`, made at first use."""
    app_state = request.app.state
    if not hasattr(app_state, "xet"):
        app_state.xet = XetState()
    state: XetState = app_state.xet
    return state
