"""Bodies come whole, in memory or on disk, never beyond their limit."""

import asyncio

import pytest
from starlette.requests import Request

from cairn.errors import LimitError, MalformedError
from cairn.hub.xet import bodies


def request_of(*pieces: bytes, length: str | None = None) -> Request:
    messages = [{"type": "http.request", "body": p, "more_body": True} for p in pieces]
    messages.append({"type": "http.request", "body": b"", "more_body": False})
    headers = [] if length is None else [(b"content-length", length.encode())]

    async def receive():
        return messages.pop(0)

    return Request({"type": "http", "method": "POST", "headers": headers}, receive)


def take(request: Request, limit: int, budget: bodies.Budget) -> tuple[bytes, int]:
    """The body, and how often its arrival was reported."""
    calls = []

    async def run() -> bytes:
        async with bodies.received(request, limit, budget, lambda: calls.append(1)) as body:
            return bytes(body)

    return asyncio.run(run()), len(calls)


@pytest.mark.parametrize("memory", [0, 10_000_000], ids=["on disk", "in memory"])
@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("pieces", [[], [b"x"], [b"abc", b"", b"def"], [bytes(700_000)] * 5])
def test_a_body_comes_whole(memory, declared, pieces):
    whole = b"".join(pieces)
    length = str(len(whole)) if declared else None
    body, calls = take(request_of(*pieces, length=length), 4_000_000, bodies.Budget(memory))
    assert body == whole
    assert calls >= len([p for p in pieces if p])


@pytest.mark.parametrize("memory", [0, 10_000_000], ids=["on disk", "in memory"])
def test_a_body_longer_than_allowed_is_cut_off(memory):
    with pytest.raises(LimitError, match="longer than 9"):
        take(request_of(b"12345", b"67890"), 9, bodies.Budget(memory))


@pytest.mark.parametrize("length", ["10", "9" * 25, "9" * 5000])
def test_a_length_beyond_the_limit_is_refused_before_anything_is_read(length):
    with pytest.raises(LimitError, match="too large"):
        take(request_of(length=length), 9, bodies.Budget())


@pytest.mark.parametrize("length", ["-1", "1e3", "", "ten", "\u0661"])
def test_lengths_that_are_no_numbers_are_refused(length):
    with pytest.raises(MalformedError, match="not a number"):
        take(request_of(length=length), 9, bodies.Budget())


def test_memory_is_given_back_whatever_happens():
    budget = bodies.Budget(10)
    for limit in (10, 3):
        with pytest.raises(LimitError):
            take(request_of(b"123456789012345"), limit, budget)
    assert budget.take(10)
    assert not budget.take(1)
    budget.give_back(10)
    assert budget.take(10)
