"""How fast long work goes and when it ends: bytes, time, processor, a wish to stop."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from cairn.errors import RequestError
from cairn.store import StoppedError

_LOOK_S = 0.5  # how long it may take until a wish to stop is noticed at rest
# The longest rest at once. What a busy hub's requests use counts as well: without this bound they
# could keep the work from ever going on.
MAX_REST_S = 30.0


@dataclass(frozen=True, slots=True)
class Budget:
    """What a run may take; None: as much as there is.

    `max_bytes` counts plain bytes, and the blob in hand is finished; `max_time_s` are seconds by
    the clock. `cpu_share` is the part of one core that the whole process uses on average.

    Raises:
        RequestError: one of them is not above 0.
    """

    max_bytes: int | None = None
    max_time_s: float | None = None
    cpu_share: float | None = None

    def __post_init__(self) -> None:
        for name in ("max_bytes", "max_time_s", "cpu_share"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise RequestError(f"a budget with {name} = {value}: give more than 0")


class Ending(StrEnum):
    """Why a run ended."""

    DONE = "done"
    BYTES = "bytes"
    TIME = "time"
    STOPPED = "stopped"


def _nobody_stops(seconds: float) -> bool:
    time.sleep(seconds)
    return False


class Pace:
    """Keeps one run within its budget; belongs to the thread that does the work.

    `wait` waits for some seconds, or until somebody wants the work to stop, and says whether
    somebody does.
    """

    def __init__(
        self,
        budget: Budget = Budget(),
        wait: Callable[[float], bool] = _nobody_stops,
        clock: Callable[[], float] = time.monotonic,
        cpu_clock: Callable[[], float] = time.process_time,
    ) -> None:
        self._budget = budget
        self._wait = wait
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._began_s = self._counted_s = clock()
        self._counted_cpu_s = cpu_clock()
        self._done_bytes = 0
        self.ending = Ending.DONE

    def goes_on(self) -> bool:
        """Whether another blob may be begun; says no for good once the run has ended."""
        limit = self._budget.max_bytes
        if limit is not None and self._done_bytes >= limit:
            self.ending = Ending.BYTES
        return not self._is_over() and self.ending is Ending.DONE

    def advance(self, plain_bytes: int) -> None:
        """Count what was done, and rest where the processor was used too much.

        Raises:
            StoppedError: the time is over, or somebody wants the work to stop.
        """
        self._done_bytes += plain_bytes
        if self._is_over():
            raise StoppedError
        share = self._budget.cpu_share
        if share is not None:
            self._rest(share)

    def _rest(self, share: float) -> None:
        cpu_s, now_s = self._cpu_clock(), self._clock()
        until_s = self._counted_s + (cpu_s - self._counted_cpu_s) / share
        if until_s > now_s + MAX_REST_S:
            until_s = now_s + MAX_REST_S
            self._counted_s, self._counted_cpu_s = until_s, cpu_s
        while (left_s := until_s - self._clock()) > 0:
            if self._is_over(min(left_s, _LOOK_S)):
                raise StoppedError

    def _is_over(self, wait_s: float = 0.0) -> bool:
        """Whether, after waiting, the time is over or somebody wants an end."""
        if self._wait(wait_s):
            self.ending = Ending.STOPPED
            return True
        limit_s = self._budget.max_time_s
        if limit_s is not None and self._clock() - self._began_s >= limit_s:
            self.ending = Ending.TIME
            return True
        return False
