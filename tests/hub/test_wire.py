"""Connections that never become requests cost little and end soon."""

import asyncio
import hashlib
import random
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse

from cairn.hub.wire import MAX_HEAD_BYTES, BoundedHttp, BufferedHttp


class Impatient(BoundedHttp):
    """The same protocol with a head time-out a test can wait for."""

    head_timeout_s = 0.5
    body_tick_s = 0.2
    stalled_answer_s = 0.5


class Wire(BufferedHttp):
    """As the server uses it, less patient."""

    parser = Impatient


async def _endless():
    for _ in range(300):
        yield b"x" * (1 << 20)


async def _app(scope, receive, send) -> None:
    if scope["path"] == "/endless":
        await StreamingResponse(_endless())(scope, receive, send)
        return
    if scope["path"] == "/thoughtful":
        await asyncio.sleep(2)  # twice what a client may take
    body = await Request(scope, receive).body()
    digest = hashlib.sha256(body).hexdigest()
    await PlainTextResponse(f"{digest} got {len(body)}")(scope, receive, send)


@pytest.fixture
def address() -> Iterator[tuple[str, int]]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(_app, http=Wire, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield listener.getsockname()
    server.should_exit = True
    thread.join(10)
    listener.close()


def _answer(sock: socket.socket) -> bytes:
    """All that comes until the hub closes or says `got`."""
    sock.settimeout(10)
    found = b""
    while b"got " not in found:
        try:
            block = sock.recv(65536)
        except ConnectionResetError:
            break
        if not block:
            break
        found += block
    return found


def test_an_endless_header_is_refused(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
        sent = 0
        try:
            while sent < 50 * MAX_HEAD_BYTES:
                sent += sock.send(b"x" * MAX_HEAD_BYTES)
                time.sleep(0.01)
        except OSError:
            pass  # the hub closed while we were still sending
        else:
            pytest.fail("the hub took 50 times the limit")


def test_a_head_just_under_the_limit_is_served(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as sock:
        filler = b"x" * (MAX_HEAD_BYTES - 200)
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + filler + b"\r\n\r\n")
        assert _answer(sock).startswith(b"HTTP/1.1 200")


def test_a_refusal_says_why(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * MAX_HEAD_BYTES)
        assert b"431 Request Header Fields Too Large" in _answer(sock)


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHo"])
def test_a_head_that_never_ends_is_hung_up_on(address: tuple[str, int], begun: bytes) -> None:
    with socket.create_connection(address) as sock:
        sock.sendall(begun)
        began = time.monotonic()
        assert _answer(sock) == b""
        assert time.monotonic() - began < 5


def test_a_slow_body_and_a_second_request_are_not_hurried(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as sock:
        for _ in range(2):
            sock.sendall(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
            time.sleep(0.8)
            sock.sendall(b"def")
            assert b"got 6" in _answer(sock)
            time.sleep(0.8)


def test_bytes_that_come_in_many_reads_stay_in_order(address: tuple[str, int]) -> None:
    body = random.Random(1).randbytes(3_000_000)
    with socket.create_connection(address) as sock:
        sock.sendall(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body))
        for at in range(0, len(body), 70_001):
            sock.sendall(body[at : at + 70_001])
        assert hashlib.sha256(body).hexdigest().encode() in _answer(sock)


def test_a_body_that_trickles_is_hung_up_on_with_the_reason(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as sock:
        sock.sendall(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        began = time.monotonic()
        sock.settimeout(0.1)
        answer = b""
        while not answer and time.monotonic() - began < 5:
            sock.sendall(b"x")
            try:
                answer = sock.recv(1000)
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert 0.9 < time.monotonic() - began < 5  # six ticks, and no more than that


def test_a_steady_body_may_take_longer_than_a_stalled_one(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as sock:
        sock.sendall(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n")
        for _ in range(20):
            sock.sendall(b"x" * 500)
            time.sleep(0.1)
        assert b"got 10000" in _answer(sock)


@pytest.mark.parametrize("expects", [b"", b"Expect: 100-continue\r\n"])
def test_a_client_is_not_blamed_for_a_hub_that_thinks(
    address: tuple[str, int], expects: bytes
) -> None:
    size = 200_000  # more than the hub takes in before it is asked for
    head = b"PUT /thoughtful HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n%b\r\n"
    with socket.create_connection(address) as sock:
        sock.sendall(head % (size, expects))
        if expects:
            sock.settimeout(5)
            assert sock.recv(100).startswith(b"HTTP/1.1 100 ")
        sock.sendall(b"x" * size)
        assert b"got %d" % size in _answer(sock)


def test_who_takes_nothing_of_an_answer_is_hung_up_on(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as sock:
        sock.sendall(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(1.5)
        sock.settimeout(10)
        taken = 0
        try:
            while block := sock.recv(1 << 20):
                taken += len(block)
                assert taken < 200 << 20
        except ConnectionResetError:
            pass  # the end: what was on its way is lost, too
