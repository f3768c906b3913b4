"""Two ways to start a scanning process: as a new interpreter, or as a copy of this process.

A new interpreter knows nothing of this process; it is for hubs, which have threads and secrets. A
copy has all imports made already, which is most of what scanning a small file costs; it is for
`cairn scan` of local files. What a copy could find in its memory is what any process of this user
can read in `/proc` (environment, arguments); limits and filters are the same.
"""

import gc
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import NoReturn, Protocol

# -I: nothing of the environment or the folder it is started in; -S: no site's start-up code.
_COMMAND = (sys.executable, "-I", "-S", "-c")
_PROGRAM = (
    "import sys; sys.path[:0] = sys.argv[2:];"
    "from cairn.scanner.confined.child import main; main(int(sys.argv[1]))"
)
_STANDARD_STREAMS = (0, 1, 2)
_WAIT_STEP_S = 0.001


class Child(Protocol):
    """A process of ours that runs; its status is negative where a signal ended it."""

    def poll(self) -> int | None:
        """Its status, None while it runs."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Its status once it ended.

        Raises:
            subprocess.TimeoutExpired: it still runs after `timeout` seconds.
        """
        ...

    def kill(self) -> None:
        """End it, if it still runs."""
        ...


Start = Callable[[socket.socket], Child]
"""Starts a process that serves the other end of a socket."""


def spawn(line: socket.socket, program: str = _PROGRAM) -> Child:
    """Start a new interpreter with an empty environment and nothing but the socket.

    `program` is what it runs; tests give ones that misbehave.
    """
    folders = [str(Path(__file__).parents[3]), *filter(os.path.isabs, sys.path)]
    return subprocess.Popen(  # noqa: S603 - our own program, no shell
        [*_COMMAND, program, str(line.fileno()), *folders],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=[line.fileno()],
        env={},
        cwd="/",
        start_new_session=True,  # without a terminal, which could be opened by its name
    )


def fork(line: socket.socket) -> Child:
    """Start a copy of this process, or a new interpreter where a copy is not safe.

    It is on Linux, while this process has one thread: locks that others hold stay locked in it.
    """
    if sys.platform != "linux" or len(list(Path("/proc/self/task").iterdir())) > 1:
        return spawn(line)
    from cairn.scanner.confined.child import main

    return Copy(lambda: main(line.fileno()), keep=line.fileno())


class Copy:
    """A copy of this process that runs a function and ends; see `Child`."""

    def __init__(self, run: Callable[[], None], keep: int) -> None:
        """Starts it: of all that is open it has `keep` alone, of the environment nothing."""
        gc.freeze()  # or the copy's first collection would write to every page it shares
        self._pid = os.fork()
        if self._pid == 0:
            _run(run, keep)
        gc.unfreeze()
        self._status: int | None = None

    def poll(self) -> int | None:
        """See `Child.poll`."""
        if self._status is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status

    def wait(self, timeout: float | None = None) -> int:
        """See `Child.wait`."""
        end = inf if timeout is None else time.monotonic() + timeout
        while (status := self.poll()) is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired("a copy of this process", timeout or 0)
            time.sleep(_WAIT_STEP_S)
        return status

    def kill(self) -> None:
        """See `Child.kill`."""
        if self.poll() is None:
            os.kill(self._pid, signal.SIGKILL)


def _run(run: Callable[[], None], keep: int) -> NoReturn:
    """What a copy does: nothing of the process it was copied from goes on in it."""
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()  # without a terminal, which could be opened by its name
        os.environ.clear()
        os.chdir("/")
        _close_all_but(keep)
        run()
    except BaseException:
        sys.excepthook(*sys.exc_info())
        raise
    finally:
        os._exit(int(sys.exc_info()[0] is not None))


def _close_all_but(keep: int) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in _STANDARD_STREAMS:
        os.dup2(nothing, stream)
    os.closerange(len(_STANDARD_STREAMS), keep)
    os.closerange(keep + 1, os.sysconf("SC_OPEN_MAX"))
