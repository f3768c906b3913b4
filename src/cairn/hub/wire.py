"""How bytes come in from a connection, and what it may cost before a request exists.

uvicorn's parser collects request line and headers without a bound, and waits for their end
for ever. Behind a proxy such a client meets the proxy's limits first; a hub on its own
needs these. Bodies are bounded in bytes where they are read (`cairn.hub.bodies`), and here in time:
a client that trickles one, or takes no more of an answer, would hold a connection for ever.

The socket is read into one buffer per connection instead of a new `bytes` per read, as
asyncio's `Protocol` has it: a large upload then costs about an eighth less processor
time in all (measured interleaved, LFS upload of 1 GB: 1.9 to 2.1 s instead of 2.3 to 2.4).
"""

import asyncio
from collections import deque
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 64 << 10  # nginx takes 32 KiB by default; clients' heads have 1 to 2 KiB
READ_BYTES = 256 << 10  # as uvloop reads; memory that no byte reached yet is not resident
HEAD_TIMEOUT_S = 30.0  # nginx allows 60 s (client_header_timeout)
BODY_TICK_S = 10.0
TICKS_JUDGED = 6  # a minute, as nginx allows between two reads (client_body_timeout)
MIN_BODY_BYTES_PER_S = 500  # Apache's MinRate (mod_reqtimeout)
STALLED_ANSWER_S = 600.0  # in which a client must take one block of 4 MiB: 7 kB/s

_REFUSAL = (
    b"HTTP/1.1 %b\r\n"
    b"content-type: text/plain; charset=utf-8\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b"
)


class BoundedHttp(HttpToolsProtocol):
    """HTTP/1.1 whose request heads are bounded in bytes and time, bodies and answers in time."""

    head_timeout_s = HEAD_TIMEOUT_S
    body_tick_s = BODY_TICK_S
    stalled_answer_s = STALLED_ANSWER_S
    _head_bytes = 0
    _head_deadline: asyncio.TimerHandle | None = None
    _body_tick: asyncio.TimerHandle | None = None
    _answer_deadline: asyncio.TimerHandle | None = None
    _body_bytes = 0
    _lately: deque[int]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock for the first request's head."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the clock."""
        self._head_done()
        self._body_done()
        self._answer_moves()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Start the clock for a further request on the same connection."""
        super().on_message_begin()
        if self._head_deadline is None:
            self._expect_head()

    def on_headers_complete(self) -> None:
        """The head is whole: from here on the request answers for itself."""
        self._head_done()
        super().on_headers_complete()
        self._lately = deque(maxlen=TICKS_JUDGED)
        self._body_bytes = 0
        self._expect_body()

    def on_body(self, body: bytes) -> None:
        """Some of the body."""
        super().on_body(body)
        self._body_bytes += len(body)

    def on_message_complete(self) -> None:
        """The body is whole."""
        self._body_done()
        super().on_message_complete()

    def pause_writing(self) -> None:
        """The client takes less than it is sent: it has some time to take more."""
        super().pause_writing()
        self._answer_moves()
        self._answer_deadline = self.loop.call_later(self.stalled_answer_s, self.transport.abort)

    def resume_writing(self) -> None:
        """It has taken what was sent."""
        self._answer_moves()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Parse; give up on a head that is still not whole after `MAX_HEAD_BYTES`."""
        super().data_received(data)
        if self._head_deadline is None:
            return
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            text = b"the request line and headers are longer than %d bytes" % MAX_HEAD_BYTES
            self._head_done()
            self._refuse(b"431 Request Header Fields Too Large", text)

    def _expect_head(self) -> None:
        self._head_bytes = 0
        self._head_deadline = self.loop.call_later(self.head_timeout_s, self._give_up)

    def _head_done(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None

    def _expect_body(self) -> None:
        self._body_tick = self.loop.call_later(self.body_tick_s, self._judge_body)

    def _body_done(self) -> None:
        if self._body_tick is not None:
            self._body_tick.cancel()
            self._body_tick = None

    def _answer_moves(self) -> None:
        if self._answer_deadline is not None:
            self._answer_deadline.cancel()
            self._answer_deadline = None

    def _judge_body(self) -> None:
        """Hang up if the last ticks, all of them the client's to use, brought too little."""
        self._lately.append(self._body_bytes)
        self._body_bytes = 0
        if self.flow.read_paused or self.cycle.waiting_for_100_continue:
            self._lately.clear()  # it is the hub that is slow
        least = TICKS_JUDGED * self.body_tick_s * MIN_BODY_BYTES_PER_S
        if len(self._lately) == TICKS_JUDGED and sum(self._lately) < least:
            self._body_tick = None
            if self.cycle.response_started:
                self.transport.close()
            else:
                self._refuse(b"408 Request Timeout", b"the body comes too slowly")
        else:
            self._expect_body()

    def _refuse(self, status: bytes, text: bytes) -> None:
        self.transport.write(_REFUSAL % (status, len(text), text))
        self.transport.close()

    def _give_up(self) -> None:
        self._head_deadline = None
        if not self.transport.is_closing():
            self.transport.close()


class BufferedHttp(asyncio.BufferedProtocol):
    """`BoundedHttp`, read from the socket through a buffer of its own.

    The parser copies what it keeps before the next read overwrites the buffer.
    """

    parser: type[BoundedHttp] = BoundedHttp

    def __init__(self, **uvicorn_state: Any) -> None:
        """Takes what uvicorn gives every protocol: config, server state, application state."""
        self._http = self.parser(**uvicorn_state)
        self._buffer = memoryview(bytearray(READ_BYTES))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.BaseProtocol`."""
        # uvloop's transports are not subclasses of asyncio's
        self._http.connection_made(cast("asyncio.Transport", transport))

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.BaseProtocol`."""
        self._http.connection_lost(exc)

    def pause_writing(self) -> None:
        """See `asyncio.BaseProtocol`."""
        self._http.pause_writing()

    def resume_writing(self) -> None:
        """See `asyncio.BaseProtocol`."""
        self._http.resume_writing()

    def eof_received(self) -> None:
        """See `asyncio.BufferedProtocol`."""
        self._http.eof_received()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go."""
        del sizehint
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Parse what came."""
        self._http.data_received(self._buffer[:nbytes])  # type: ignore[arg-type]
