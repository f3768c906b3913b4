"""The sign of life of one lane of background work: what it is at, and when it last advanced."""

import os
import socket
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from cairn.catalog import LaneBeat

SILENCE_S = 900.0
"""A step that does not advance for so long hangs. Steps advance with each piece of a file read or
written, so this is far more than any of them takes on a slow disk."""

IDLE = "idle"


def worker_name(pid: int | None = None) -> str:
    """What a process is called in the catalog, which several machines may share."""
    return f"{socket.gethostname()}:{os.getpid() if pid is None else pid}"


class Pulse:
    """Written by the lane, read by whoever watches it; in memory."""

    def __init__(self, lane: str, clock: Callable[[], datetime]) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._lane = lane
        self._step = IDLE
        self._silence_s = SILENCE_S
        self._began_at = self._advanced_at = clock()

    def begin(self, step: str, silence_s: float = SILENCE_S) -> None:
        """A step begins, which will not be silent for longer than this."""
        with self._lock:
            self._step, self._silence_s = step, silence_s
            self._began_at = self._advanced_at = self._clock()

    def beat(self) -> None:
        """The step advanced."""
        with self._lock:
            self._advanced_at = self._clock()

    def read(self) -> LaneBeat:
        """What the lane of this process is at."""
        with self._lock:
            return LaneBeat(
                worker_name(),
                self._lane,
                self._step,
                self._began_at,
                self._advanced_at,
                self._advanced_at + timedelta(seconds=self._silence_s),
                self._clock(),
            )
