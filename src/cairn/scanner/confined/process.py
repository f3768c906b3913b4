"""The end that hands files to a scanning process and believes little of what it answers."""

import signal
import socket
import subprocess
import time
from types import TracebackType
from typing import Self

from cairn.domain import Place, Source
from cairn.errors import MalformedError, UnavailableError
from cairn.formats import FileSource
from cairn.scanner.confined.children import Start, spawn
from cairn.scanner.confined.wire import MAX_READ_BYTES, Json, Line
from cairn.scanner.evidence.base import Evidence, Unread
from cairn.scanner.evidence.kinds import decode
from cairn.scanner.trace import MAX_KEPT

CPU_S = 60
"""Processor time for one file, and a second more for each of `BYTES_PER_S`."""

BYTES_PER_S = 50_000_000
WALL_FACTOR = 4
"""Time that may pass for each second of processor time: a loaded machine, a slow disk."""

START_S = 60.0
END_S = 5.0


class ScanProcess:
    """Scans files in a process of its own, one after the other; a context manager.

    A process that crashes, takes too long or too much memory, or answers nonsense is replaced
    for the next file; the file in hand keeps what was noted and is unread. Not for several
    threads.
    """

    def __init__(self, cpu_s: float = CPU_S, start: Start = spawn) -> None:
        """Starts the process, which gets ready while the caller goes on."""
        self._cpu_s = cpu_s
        self._start_child = start
        self._held: tuple[str, ...] = ()
        self._start()

    def _start(self) -> None:
        ours, its = socket.socketpair()
        with its:
            self._process = self._start_child(its)
        self._socket = ours
        self._line = Line(ours)
        self._ready = False

    @property
    def held(self) -> tuple[str, ...]:
        """Names of the limits that hold for the process; empty before it is ready."""
        return self._held

    def gather(self, source: Source) -> tuple[Evidence, ...]:
        """What a file holds; what stopped the scan of it is `Unread` at the end.

        Raises:
            UnavailableError: no process can be started.
            CairnError: the source could not be read.
        """
        found: list[Evidence] = []
        if self._process.poll() is not None:
            self._replace()
        try:
            problem = self._gather(source, found)
        except TimeoutError:
            problem = "took too long"
        except ConnectionError:
            problem = self._end()
        except (ValueError, RecursionError, MalformedError):
            problem = "answered what is no evidence"
        except BaseException:
            self._replace()  # it waits for an answer that does not come
            raise
        if problem:
            found.append(Unread(Place(), f"the scan of the file {problem}"))
            self._replace()
        return tuple(found)

    def _gather(self, source: Source, found: list[Evidence]) -> str:
        """Fill `found`; what went wrong, or nothing."""
        self._wait_until_ready()
        cpu_s = self._cpu_s + source.size_bytes // BYTES_PER_S
        end = time.monotonic() + WALL_FACTOR * cpu_s
        order = {"name": source.name, "size_bytes": source.size_bytes, "cpu_s": cpu_s}
        self._line.send_file(order, source.fileno() if isinstance(source, FileSource) else None)
        while True:
            match self._receive(end):
                case None:
                    return self._end()
                case {"evidence": told}:
                    if len(found) >= MAX_KEPT:
                        return "found more than it may note"
                    found.append(decode(told))
                case {"read": [int(offset), int(length)]} if _is_read(offset, length):
                    self._line.send_bytes(source.read_at(offset, length))
                case {"crash": str(name)}:
                    return _crash(name)
                case {"done": True}:
                    return ""
                case _:
                    raise ValueError("a line of another kind")

    def _wait_until_ready(self) -> None:
        if self._ready:
            return
        match self._receive(time.monotonic() + START_S):
            case {"ready": list(names)}:
                self._held = tuple(str(name) for name in names)
                self._ready = True
            case _:
                raise UnavailableError("the process that takes files apart did not start")

    def _receive(self, end: float) -> Json | None:
        self._socket.settimeout(max(0.001, end - time.monotonic()))
        return self._line.receive()

    def _end(self) -> str:
        """Why the process is gone, or as good as gone."""
        try:
            status = self._process.wait(timeout=END_S)
        except subprocess.TimeoutExpired:
            return "broke off"
        if status == -signal.SIGXCPU:
            return "took too much processor time"
        return f"crashed ({signal.Signals(-status).name if status < 0 else f'status {status}'})"

    def _replace(self) -> None:
        self.close()
        self._start()

    def close(self) -> None:
        """End the process."""
        self._socket.close()
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _is_read(offset: int, length: int) -> bool:
    return offset >= 0 and 0 < length <= MAX_READ_BYTES


def _crash(name: str) -> str:
    if name == "MemoryError":
        return "took more memory than it may"
    return f"crashed ({name[:100]})"
