"""A thread of the worker: does its steps in turn, gives signs of life, and outlives what fails."""

import os
import threading
from collections.abc import Callable
from datetime import datetime

import structlog

from cairn.errors import CairnError
from cairn.hub.pulse import IDLE, SILENCE_S, Pulse

POLL_S = 1.0
NICENESS = 10  # below the threads that answer requests, above nothing else on the machine

log = structlog.get_logger("cairn.worker")


class Lane:
    """Calls `rounds` with itself again and again, `every_s` seconds apart, until told to stop."""

    def __init__(
        self,
        name: str,
        clock: Callable[[], datetime],
        rounds: Callable[["Lane"], None],
        every_s: float = POLL_S,
    ) -> None:
        self.pulse = Pulse(name, clock)
        self._rounds = rounds
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"cairn-{name}", daemon=True)

    def start(self) -> None:
        """Begin working in the background."""
        self._thread.start()

    def end(self) -> None:
        """Ask it to stop; work in hand is left to the next start."""
        self._stop.set()

    def join(self, timeout_s: float) -> None:
        """Wait until it stopped."""
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def ends(self, wait_s: float = 0.0) -> bool:
        """Whether it is to stop, or will be told so within that time."""
        return self._stop.wait(wait_s)

    def step(self, name: str, work: Callable[[], object], silence_s: float = SILENCE_S) -> None:
        """The worker's rim: whatever goes wrong is logged and the lane goes on."""
        self.pulse.begin(name, silence_s)
        try:
            work()
        except CairnError as error:
            log.warning("step failed", step=name, error=str(error))
        except Exception:
            log.exception("step crashed", step=name)
        self.pulse.begin(IDLE)

    def _run(self) -> None:
        _lower_priority()
        while not self._stop.wait(self._every_s):
            self._rounds(self)


def _lower_priority() -> None:
    """Linux keeps niceness per thread, and threads started by this one inherit it."""
    if hasattr(os, "setpriority") and os.uname().sysname == "Linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
