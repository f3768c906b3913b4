"""Ctrl-C, and a service manager's SIGTERM, as a wish to stop that long work is told of."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from cairn.cli.console import err

EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells have it
_NOTED = b"\nstopping as soon as nothing is lost by it; again ends it at once\n"
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stoppable() -> Iterator[Callable[[float], bool]]:
    """Yield a function that waits some seconds and says whether a signal came.

    The signal after the first has its usual effect: it ends the process at once.
    """
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        came.append(number)
        with suppress(OSError, ValueError):  # whoever waits for a long step sees that it came
            os.write(sys.stderr.fileno(), _NOTED)  # a handler may not use what buffers
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)

    def wait(seconds: float) -> bool:
        if not came:
            time.sleep(seconds)
        return bool(came)

    for number in _SIGNALS:
        signal.signal(number, note)
    try:
        yield wait
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            err().print("stopped; nothing is lost")
