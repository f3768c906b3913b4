"""The hub's background loop: logs what happened, optimizes what landed, has it measured, reads back
what is kept, describes what was pushed, clears scratch.

There is no queue to lose: each step asks store and catalog what is left to do, so a kill
costs at most the blob in hand (docs/decisions/0007-derived-jobs.md).
"""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import structlog

from cairn.bootstrap import profiles_of
from cairn.config import Settings
from cairn.domain import Digest, Verdict
from cairn.errors import CairnError, IntegrityError
from cairn.hub.reading_process import ReadingProcess
from cairn.hub.scan_desk import ScanDesk
from cairn.store import SMALL, StoppedError
from cairn.workflows.describe import describe_pending
from cairn.workflows.heat import Change, Heat
from cairn.workflows.house import House
from cairn.workflows.journal import Journal
from cairn.workflows.kept_comparisons import any_pending as any_to_compare
from cairn.workflows.kept_weights import any_pending as any_to_weigh
from cairn.workflows.maintain import expire_staging, trim_chunk_lists
from cairn.workflows.namespace_stock import count_stored_if_limited
from cairn.workflows.optimize import optimize_pending
from cairn.workflows.pace import Budget, Pace
from cairn.workflows.pausing import paused_since
from cairn.workflows.rebasing import Rebasing
from cairn.workflows.recall import tell_changes
from cairn.workflows.rejudging import Judged, Rescans
from cairn.workflows.remake import remake_blobs
from cairn.workflows.rounds import verify_due
from cairn.workflows.stored_health import any_pending as any_to_measure
from cairn.workflows.stored_scans import scan_pending
from cairn.workflows.transparency import settle

POLL_S = 1.0
HOUSEKEEPING_S = 3600.0
REMAKE_S = 60.0  # looking for what got hot or cold asks for the heads of many repos
REST_PER_SURVEY_S = 200.0  # however many these are, it takes half a per cent of a core
VERIFY_S = 60.0  # looking for blobs that are due lists a part of the store
VERIFY_STEP_S = 2.0  # then other work has its turn
REJUDGE_STEP_S = 2.0
HEALTH_S = 20.0  # looking for blobs to measure goes through all blobs of all repos
RETRY_S = (60.0, 3600.0)  # a reading process that crashed is started again after this, at most that
NICENESS = 10  # below the threads that answer requests, above nothing else on the machine

log = structlog.get_logger("cairn.worker")


class Worker:
    """One thread that works whenever there is something to do and nobody is uploading."""

    def __init__(self, house: House, settings: Settings, scans: ScanDesk | None = None) -> None:
        self._house = house
        self._scans = scans or ScanDesk(house)
        self._rescans = Rescans(house)
        self._lost: set[Digest] = set()  # until the next start: they may be repaired
        self._settings = settings
        self._profiles = profiles_of(settings)
        self._heat = Heat(house, settings.fast_bytes)
        self._rebasing = Rebasing(house, self._profiles[SMALL.name])
        self.journal = Journal(house.clock())
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cairn-worker", daemon=True)
        self._last_upload = 0.0
        self._next_housekeeping = 0.0
        self._next_remake = 0.0
        self._replaced = False
        self._next_verify = 0.0
        self._next_health = 0.0
        self._reading = ReadingProcess(settings)
        self._next_reading = 0.0
        self._retry_s = RETRY_S[0]

    def start(self) -> None:
        """Begin working in the background."""
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Ask the loop to end and wait; work in hand is left to the next start."""
        self._stop.set()
        self._thread.join(timeout_s)
        self._reading.stop()
        self._scans.close()
        self._guard("end turn", self._rescans.end_turn)

    def uploading(self) -> None:
        """Note that bytes are arriving: optimizing waits until it is quiet."""
        self._last_upload = time.monotonic()

    def _run(self) -> None:
        _lower_priority()
        self._guard("find refs", self._house.catalog.logbook.note_unlogged_refs)
        while not self._stop.wait(POLL_S):
            self._guard("log", lambda: settle(self._house))
            self._guard("tell", self._tell)
            self._guard("describe", lambda: describe_pending(self._house))
            self._guard("scan", self._scan)
            if self._settings.optimize and self._quiet() and not paused_since(self._house):
                self._guard("optimize", self._optimize)
                if time.monotonic() >= self._next_remake:
                    self._guard("remake", self._remake)
            self._guard("read", self._read)
            if self._settings.verify_every_s and time.monotonic() >= self._next_verify:
                self._guard("verify", self._verify)
            if time.monotonic() >= self._next_housekeeping:
                self._next_housekeeping = time.monotonic() + HOUSEKEEPING_S
                self._guard(
                    "expire", lambda: expire_staging(self._house, self._settings.xet_epoch_s)
                )
                self._guard(
                    "trim chunk lists",
                    lambda: trim_chunk_lists(self._house, self._settings.xet_listed_chunks),
                )
                if self._replaced and self._quiet() and not paused_since(self._house):
                    self._guard("compact", self._compact)
                self._guard("tune", self._house.catalog.tune)
                self._guard("count", lambda: count_stored_if_limited(self._house))

    def _scan(self) -> None:
        """Scan what landed, and judge anew what older rules judged, if a repo is to be scanned."""
        policies = self._house.catalog.scan_policies
        if self._settings.scan_policy == "allow" and not policies.any_scans():
            return
        if self._rescans.take_turn():
            for judged in scan_pending(self._house, self._scans.scan, self._lost):
                _log_verdict("scanned", judged)
                if self._stop.is_set() or not self._rescans.take_turn():
                    return
            for judged in self._rescans.judge(REJUDGE_STEP_S):
                _log_verdict("verdict changed", judged)
        self._scans.rest()

    def _tell(self) -> None:
        """Tell owners and administrators which verdicts changed for them."""
        for told in tell_changes(self._house):
            change = told.change
            (log.warning if change.is_recall else log.info)(
                "recall" if change.is_recall else "recall ended",
                blob=change.digest.hex,
                name=change.name,
                before=change.before.value,
                verdict=change.after.value,
                repos=told.repos,
                descendants=told.descendants,
                people=told.people,
            )

    def _quiet(self) -> bool:
        return time.monotonic() - self._last_upload >= self._settings.optimize_delay_s

    def _optimize(self) -> None:
        pace, journal = self._pace(), self.journal
        try:
            for done in optimize_pending(
                self._house,
                self._report_damage,
                journal.advance,
                lambda digest: self._profiles[self._heat.profile_for(digest)],
                pace,
                journal.begin,
            ):
                journal.finish(done)
                if done.rewritten:
                    log.info(
                        "optimized",
                        blob=done.blob.digest.hex,
                        plain_bytes=done.blob.size_bytes,
                        stored_bytes=done.stored_after,
                    )
                if not self._quiet():
                    return
        except CairnError as error:
            journal.fail(error)
            raise
        finally:
            journal.rest()

    def _remake(self) -> None:
        """Keep one blob otherwise, if it got hot or is no longer, or lies too deep."""
        began_s = time.monotonic()
        change = self._heat.next_change() or self._next_rebased()
        now_s = time.monotonic()
        self._next_remake = now_s + max(REMAKE_S, REST_PER_SURVEY_S * (now_s - began_s))
        if change is None:
            return
        journal, digest = self.journal, change.blob.digest
        profile = self._profiles[change.profile]
        journal.begin(change.blob)
        try:
            for done in remake_blobs(
                self._house, [digest], profile, self._report_damage, journal.advance, self._pace()
            ):
                self._next_remake = 0.0  # there may be more
                self._replaced = True
                written = done.stored_after
                log.info("remade", blob=digest.hex, profile=profile.name, written_bytes=written)
        except CairnError as error:
            journal.fail(error)
            raise
        finally:
            journal.rest()

    def _next_rebased(self) -> Change | None:
        blob = self._rebasing.next_blob()
        return None if blob is None else Change(blob, SMALL.name)

    def _compact(self) -> None:
        """Free the records that remaking replaced; gc alone removes blobs."""
        done = self._house.store.compact(self._settings.gc_grace_s)
        self._replaced = done.packs_condemned > 0  # these go when no reader is left
        log.info("compacted", freed_bytes=done.freed_bytes, damaged_blobs=len(done.damaged))

    def _pace(self) -> Pace:
        return Pace(Budget(cpu_share=self._settings.optimize_cpu_share), self._wanted_to_stop)

    def _wanted_to_stop(self, wait_s: float) -> bool:
        return self._stop.wait(wait_s) or paused_since(self._house) is not None

    def _report_damage(self, error: IntegrityError) -> None:
        self.journal.fail(error)
        log.error("damaged blob", error=str(error))

    def _verify(self) -> None:
        """Read back what is due, as long as nobody uploads."""
        every_s = self._settings.verify_every_s
        self._next_verify = time.monotonic() + min(VERIFY_S, every_s / 100)
        end = time.monotonic() + VERIFY_STEP_S

        def goes_on() -> bool:
            return self._quiet() and time.monotonic() < end

        def advance(_: int) -> None:
            if self._stop.is_set():
                raise StoppedError

        if not self._quiet():
            return
        with suppress(StoppedError):
            step = verify_due(self._house, every_s, goes_on, advance)
            for damage in step.damaged:
                files = [str(place) for place in damage.locations]
                log.error("damaged blob", blob=damage.digest.hex, error=damage.reason, files=files)
            if not step.up_to_date:
                self._next_verify = 0.0

    def _read(self) -> None:
        """Have tensor values read in a process of their own while there is something to read."""
        status = self._reading.collect()
        if status is not None:
            self._next_health = 0.0  # there may be more
            if status == 0:
                self._retry_s = RETRY_S[0]
            else:
                log.error("reading process ended", status=status, again_in_s=self._retry_s)
                self._next_reading = time.monotonic() + self._retry_s
                self._retry_s = min(2 * self._retry_s, RETRY_S[1])
        if self._reading.is_running:
            self._reading.let_go_on(self._quiet())
        elif time.monotonic() >= self._next_reading and self._quiet() and self._is_any_to_read():
            self._reading.start()

    def _is_any_to_read(self) -> bool:
        if any_to_compare(self._house) or any_to_weigh(self._house):
            return True
        if not self._settings.tensor_health or time.monotonic() < self._next_health:
            return False
        self._next_health = time.monotonic() + HEALTH_S
        return any_to_measure(self._house)

    def _guard(self, step: str, work: Callable[[], object]) -> None:
        """The worker's rim: whatever goes wrong is logged and the loop goes on."""
        try:
            work()
        except CairnError as error:
            log.warning("step failed", step=step, error=str(error))
        except Exception:
            log.exception("step crashed", step=step)


def _log_verdict(event: str, judged: Judged) -> None:
    tell = log.warning if judged.verdict is Verdict.MALICIOUS else log.info
    before = {} if judged.before is None else {"before": judged.before.value}
    tell(event, blob=judged.blob_hex, name=judged.name, verdict=judged.verdict.value, **before)


def _lower_priority() -> None:
    """Linux keeps niceness per thread, and threads started by this one inherit it."""
    if hasattr(os, "setpriority") and os.uname().sysname == "Linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
