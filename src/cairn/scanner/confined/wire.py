"""How the two processes talk: lines of JSON over a socket, with a file or bytes beside some.

| from | line | beside it |
|---|---|---|
| child | `{"ready": [held limits]}` | |
| parent | `{"name", "size_bytes", "cpu_s"}` | the file's descriptor, or it asks to read |
| child | `{"read": [offset, length]}` | |
| parent | `{"bytes": count}` | that many bytes |
| child | `{"evidence": {...}}` | |
| child | `{"crash": "MemoryError"}` | the end of the process |
| child | `{"done": true}` | |
"""

import json
import socket
from typing import Any

Json = dict[str, Any]

MAX_LINE_BYTES = 1 << 20
MAX_READ_BYTES = 4 << 20
_BLOCK_BYTES = 64 << 10


_ENCODER = json.JSONEncoder(separators=(",", ":"))


class Line:
    """One end of the line. Not for several threads."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._come = bytearray()
        self._waiting = bytearray()

    def send(self, message: Json) -> None:
        """Send a line; texts that are no Unicode are sent as they are, escaped."""
        self._socket.sendall(self._waiting + _line(message))
        self._waiting.clear()

    def send_soon(self, message: Json) -> None:
        """Send a line with those after it: when they fill a block, or before the next `send`."""
        self._waiting += _line(message)
        if len(self._waiting) >= _BLOCK_BYTES:
            self._socket.sendall(self._waiting)
            self._waiting.clear()

    def send_file(self, message: Json, descriptor: int | None) -> None:
        """Send a line, and a file's descriptor with its first byte."""
        data = _line(message)
        if descriptor is None:
            self._socket.sendall(data)
        else:
            sent = socket.send_fds(self._socket, [data], [descriptor])
            self._socket.sendall(data[sent:])

    def send_bytes(self, data: bytes) -> None:
        """Send bytes after a line that says how many."""
        self.send({"bytes": len(data)})
        self._socket.sendall(data)

    def receive(self) -> Json | None:
        """The next line; None when the other end is gone.

        Raises:
            TimeoutError: it did not come in time.
            ValueError: what came is no line of ours.
        """
        while b"\n" not in self._come:
            if len(self._come) > MAX_LINE_BYTES:
                raise ValueError("a line without end")
            if not self._more():
                return None
        return self._taken()

    def receive_file(self) -> tuple[Json, int | None] | None:
        """The next line and the descriptor that came with it."""
        data, descriptors, _, _ = socket.recv_fds(self._socket, _BLOCK_BYTES, 1)
        self._come += data
        message = self.receive()
        return None if message is None else (message, descriptors[0] if descriptors else None)

    def receive_bytes(self, count: int) -> bytes:
        """Exactly so many bytes.

        Raises:
            EOFError: the other end is gone.
        """
        while len(self._come) < count:
            if not self._more():
                raise EOFError("the other process is gone")
        data = bytes(self._come[:count])
        del self._come[:count]
        return data

    def _more(self) -> bool:
        try:
            block = self._socket.recv(_BLOCK_BYTES)
        except ConnectionError:
            return False
        self._come += block
        return bool(block)

    def _taken(self) -> Json:
        end = self._come.index(b"\n") + 1
        line = bytes(self._come[:end])
        del self._come[:end]
        message = json.loads(line.decode())
        if not isinstance(message, dict):
            raise ValueError("a line that is no object")
        return message


def _line(message: Json) -> bytes:
    return _ENCODER.encode(message).encode() + b"\n"
