"""How the hub leaves the event loop: every call into the sync rooms runs in a thread.

Short calls (a query, one block of bytes) and long ones (hashing a whole file) have
separate limits, so that a burst of big uploads cannot keep a page from being served.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import ParamSpec, TypeVar

import anyio
from anyio import to_thread
from anyio.lowlevel import RunVar

from cairn.errors import UnavailableError

P = ParamSpec("P")
T = TypeVar("T")

MAX_LONG_CALLS = 8  # long calls are bound by disk and hashing: more would only take turns

MAX_COSTLY_CALLS = 4  # catalog.password_hashes lets as many hash at once
MAX_COSTLY_WAITING = 60  # a few seconds of hashing; a longer line is a flood


@dataclass(slots=True)
class _Line:
    """Who is served and who waits. The limiter's own count lags: it yields before it counts."""

    limiter: anyio.CapacityLimiter
    callers: int = 0


_costly_calls: RunVar[_Line] = RunVar("cairn_costly_calls")
_long_calls: RunVar[anyio.CapacityLimiter] = RunVar("cairn_long_calls")


async def call(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a short blocking function in a worker thread."""
    return await to_thread.run_sync(partial(function, *args, **kwargs))


async def call_long(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function that may take seconds; at most `MAX_LONG_CALLS` at a time."""
    limiter = _long_calls.get(None)
    if limiter is None:
        limiter = anyio.CapacityLimiter(MAX_LONG_CALLS)
        _long_calls.set(limiter)
    return await to_thread.run_sync(partial(function, *args, **kwargs), limiter=limiter)


async def call_costly(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function that takes much memory, such as hashing a password; few at a time.

    Raises:
        UnavailableError: too many wait already.
    """
    line = _costly_calls.get(None)
    if line is None:
        line = _Line(anyio.CapacityLimiter(MAX_COSTLY_CALLS))
        _costly_calls.set(line)
    if line.callers >= MAX_COSTLY_CALLS + MAX_COSTLY_WAITING:
        raise UnavailableError("too many people sign in at once; try again in a moment")
    line.callers += 1
    try:
        return await to_thread.run_sync(partial(function, *args, **kwargs), limiter=line.limiter)
    finally:
        line.callers -= 1


_END = object()


async def iterate(iterator: Iterator[T]) -> AsyncIterator[T]:
    """Items of a blocking iterator, each fetched in a thread; make the items large."""
    while True:
        item = await to_thread.run_sync(next, iterator, _END)
        if item is _END:
            return
        yield item  # type: ignore[misc]  # _END is the only object that is not a T
