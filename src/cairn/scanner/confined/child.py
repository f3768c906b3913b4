"""The scanning process: gathers evidence of the files it is handed, and tells each at once."""

import socket
import sys
from math import ceil
from types import TracebackType

from cairn.domain import Source
from cairn.formats import FileSource
from cairn.scanner.confined.limits import allow_cpu, confine
from cairn.scanner.confined.wire import MAX_READ_BYTES, Json, Line
from cairn.scanner.evidence.base import Evidence
from cairn.scanner.evidence.kinds import encode
from cairn.scanner.scan import gather

# Of a flood of evidence the rest goes by the block: should the process be ended, the last of it is
# lost, and the file is unread all the same.
_TOLD_AT_ONCE = 1000


class AskedSource:
    """Bytes that only the other process can read, such as those of a stored blob."""

    def __init__(self, line: Line, name: str, size_bytes: int) -> None:
        self._line = line
        self.name = name
        self.size_bytes = size_bytes

    def read_at(self, offset: int, length: int) -> bytes:
        """See `Source.read_at`."""
        end = min(self.size_bytes, offset + max(0, length))
        pieces = []
        while offset < end:
            self._line.send({"read": [offset, min(end - offset, MAX_READ_BYTES)]})
            answer = self._line.receive()
            if answer is None:
                raise EOFError("the other process is gone")
            pieces.append(self._line.receive_bytes(answer["bytes"]))
            offset += len(pieces[-1])
        return b"".join(pieces)


def main(descriptor: int) -> None:
    """Serve one file after the other until the other end is closed."""
    line = Line(socket.socket(fileno=descriptor))

    def tell_crash(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        del error, trace
        line.send({"crash": kind.__name__})

    sys.excepthook = tell_crash
    line.send({"ready": confine()})
    while (order := line.receive_file()) is not None:
        _serve(line, *order)


def _serve(line: Line, order: Json, descriptor: int | None) -> None:
    allow_cpu(ceil(order["cpu_s"]))

    told = 0

    def tell(evidence: Evidence) -> None:
        nonlocal told
        told += 1
        message = {"evidence": encode(evidence)}
        if told <= _TOLD_AT_ONCE:
            line.send(message)
        else:
            line.send_soon(message)

    source: Source
    if descriptor is None:
        source = AskedSource(line, order["name"], order["size_bytes"])
        gather(source, tell=tell)
    else:
        with FileSource.of_descriptor(descriptor, order["name"]) as source:
            gather(source, tell=tell)
    line.send({"done": True})
