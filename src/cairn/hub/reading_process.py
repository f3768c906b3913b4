"""A process that reads tensor values for the hub and ends when there is nothing left to read.

Measuring and comparing load a compiler, some 70 MB, and buffers; in a process of their own these
go when the work is done, and a file that crashes it leaves the hub standing. It is told over its
standard input: a line with the settings, then a line `go` or `wait` whenever that changes. When
the input ends, so does the process: it never outlives the hub.
"""

import os
import signal
import subprocess
import sys
import threading
from typing import TextIO

import structlog

from cairn.bootstrap import open_house
from cairn.config import Settings
from cairn.hub.lane import Lane
from cairn.hub.pulse import Pulse, worker_name
from cairn.hub.watch import BEAT_S
from cairn.workflows.kept_comparisons import compare_pending
from cairn.workflows.kept_weights import judge_pending
from cairn.workflows.stored_health import any_pending, measure_pending

_GO, _WAIT = "go\n", "wait\n"


class ReadingProcess:
    """The hub's end: one process at a time, started when there is work."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: subprocess.Popen[str] | None = None
        self._going = True

    def start(self) -> int:
        """Begin what waits; `is_running` until it is done. The number of the process."""
        # -P: a folder named cairn where the hub was started is not imported.
        command = [sys.executable, "-P", "-m", "cairn.hub.reading_process"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True)  # noqa: S603
        self._going = True
        self._tell(self._settings.model_dump_json() + "\n")
        return self._process.pid

    @property
    def pid(self) -> int | None:
        """The number of the process that was started last and not collected yet."""
        return None if self._process is None else self._process.pid

    def kill(self) -> None:
        """End it whatever it is at; `collect` gives its status then."""
        if self._process is not None:
            self._process.kill()

    @property
    def is_running(self) -> bool:
        """Whether it has work in hand."""
        return self._process is not None and self._process.poll() is None

    def let_go_on(self, going: bool) -> None:  # noqa: FBT001 - said as a fact, not as an option
        """Say whether it may read on now or has to wait."""
        if going != self._going:
            self._going = going
            self._tell(_GO if going else _WAIT)

    def collect(self) -> int | None:
        """The exit status of the process that ended since this was last asked; None if none did."""
        if self._process is None or self._process.poll() is None:
            return None
        status = self._process.returncode
        self._close()
        return status

    def stop(self) -> None:
        """End it now; what it had in hand is left to the next one."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._close()

    def _close(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process = None

    def _tell(self, line: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it ended; `collect` says how


# --- the process ---------------------------------------------------------------------------


def main(orders: TextIO) -> None:
    """Answer what people asked about, then measure what is due, until neither is left."""
    from cairn.hub.server import configure_logging

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # from a terminal it comes to the hub, too
    settings = Settings.model_validate_json(orders.readline())
    configure_logging(settings.log_level)
    log = structlog.get_logger("cairn.reading")
    may_go_on = threading.Event()
    may_go_on.set()
    threading.Thread(target=_listen, args=(orders, may_go_on), daemon=True).start()
    house = open_house(settings)
    pulse = Pulse("read", house.clock)
    beats = Lane("beat", house.clock, lambda lane: lane.step("beat", beat), BEAT_S)

    def beat() -> None:
        house.catalog.lanes.put(worker_name(), [pulse.read()])

    def go_on() -> bool:
        while not may_go_on.wait(BEAT_S):
            pulse.beat()  # it waits because it was told to
        pulse.beat()
        return True

    def answer() -> None:
        for before, after in compare_pending(house, go_on):
            log.info("compared", before=before, after=after)
        for before, after in judge_pending(house, go_on):
            log.info("weighed", before=before, after=after)

    pulse.begin("read")
    beats.start()
    answer()
    while settings.tensor_health and any_pending(house):
        for digest in measure_pending(house, go_on):
            log.info("measured", blob=digest.hex)
            answer()  # somebody looks at a page and waits; nobody waits for health
    house.catalog.lanes.forget(worker_name())


def _listen(orders: TextIO, may_go_on: threading.Event) -> None:
    for line in orders:
        if line == _GO:
            may_go_on.set()
        elif line == _WAIT:
            may_go_on.clear()
    os._exit(0)  # the hub is gone; a kill at any moment costs the tensor in hand


if __name__ == "__main__":
    main(sys.stdin)
