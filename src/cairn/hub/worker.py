"""The hub's background loop: optimizes what landed, measures it, describes it, clears scratch.

There is no queue to lose: each step asks store and catalog what is left to do, so a kill
costs at most the blob in hand (docs/decisions/0007-derived-jobs.md).
"""

import os
import threading
import time
from collections.abc import Callable

import structlog

from cairn.config import Settings
from cairn.errors import CairnError, IntegrityError
from cairn.workflows.describe import describe_pending
from cairn.workflows.house import House
from cairn.workflows.maintain import expire_staging
from cairn.workflows.optimize import optimize_pending
from cairn.workflows.stored_health import measure_pending

POLL_S = 1.0
HOUSEKEEPING_S = 3600.0
HEALTH_S = 20.0  # looking for blobs to measure goes through all blobs of all repos
NICENESS = 10  # below the threads that answer requests, above nothing else on the machine

log = structlog.get_logger("cairn.worker")


class Worker:
    """One thread that works whenever there is something to do and nobody is uploading."""

    def __init__(self, house: House, settings: Settings) -> None:
        self._house = house
        self._settings = settings
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cairn-worker", daemon=True)
        self._last_upload = 0.0
        self._next_housekeeping = 0.0
        self._next_health = 0.0

    def start(self) -> None:
        """Begin working in the background."""
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Ask the loop to end and wait; work in hand is left to the next start."""
        self._stop.set()
        self._thread.join(timeout_s)

    def uploading(self) -> None:
        """Note that bytes are arriving: optimizing waits until it is quiet."""
        self._last_upload = time.monotonic()

    def _run(self) -> None:
        _lower_priority()
        while not self._stop.wait(POLL_S):
            self._guard("describe", lambda: describe_pending(self._house))
            if self._settings.optimize and self._quiet():
                self._guard("optimize", self._optimize)
            if self._settings.tensor_health and self._quiet():
                self._guard("health", self._measure)
            if time.monotonic() >= self._next_housekeeping:
                self._next_housekeeping = time.monotonic() + HOUSEKEEPING_S
                self._guard(
                    "expire", lambda: expire_staging(self._house, self._settings.xet_epoch_s)
                )
                self._guard("tune", self._house.catalog.tune)

    def _quiet(self) -> bool:
        return time.monotonic() - self._last_upload >= self._settings.optimize_delay_s

    def _optimize(self) -> None:
        for done in optimize_pending(self._house, _report_damage):
            if done.rewritten:
                log.info(
                    "optimized",
                    blob=done.blob.digest.hex,
                    plain_bytes=done.blob.size_bytes,
                    stored_bytes=done.stored_after,
                )
            if self._stop.is_set() or not self._quiet():
                return

    def _measure(self) -> None:
        if time.monotonic() < self._next_health:
            return
        self._next_health = time.monotonic() + HEALTH_S
        for digest in measure_pending(self._house, self._wait_for_quiet):
            log.info("measured", blob=digest.hex)
            self._next_health = 0.0  # there may be more

    def _wait_for_quiet(self) -> bool:
        """Waits while bytes arrive; whether there is still time to work at all."""
        while not self._quiet():
            if self._stop.wait(POLL_S):
                return False
        return not self._stop.is_set()

    def _guard(self, step: str, work: Callable[[], object]) -> None:
        """The worker's rim: whatever goes wrong is logged and the loop goes on."""
        try:
            work()
        except CairnError as error:
            log.warning("step failed", step=step, error=str(error))
        except Exception:
            log.exception("step crashed", step=step)


def _report_damage(error: IntegrityError) -> None:
    log.error("damaged blob", error=str(error))


def _lower_priority() -> None:
    """Linux keeps niceness per thread, and threads started by this one inherit it."""
    if hasattr(os, "setpriority") and os.uname().sysname == "Linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
