"""Connections that never become requests cost little and end soon."""

import hashlib
import random
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from cairn.hub.wire import MAX_HEAD_BYTES, BoundedHttp, BufferedHttp


class Impatient(BoundedHttp):
    """The same protocol with a head time-out a test can wait for."""

    head_timeout_s = 0.5


class Wire(BufferedHttp):
    """As the server uses it, less patient."""

    parser = Impatient


async def _app(scope, receive, send) -> None:
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
