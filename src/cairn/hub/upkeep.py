"""What the worker does for the store when nobody uploads: optimizes, reads back, clears."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress

import structlog

from cairn.bootstrap import profiles_of
from cairn.config import Settings
from cairn.errors import CairnError, IntegrityError
from cairn.hub.lane import Lane
from cairn.hub.pulse import worker_name
from cairn.hub.reading_process import ReadingProcess
from cairn.hub.watch import Watch
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
from cairn.workflows.remake import remake_blobs
from cairn.workflows.rounds import verify_due
from cairn.workflows.sibling_reports import SiblingReports
from cairn.workflows.stored_health import any_pending as any_to_measure

HOUSEKEEPING_S = 3600.0
REMAKE_S = 60.0  # looking for what got hot or cold asks for the heads of many repos
REST_PER_SURVEY_S = 200.0  # however many these are, it takes half a per cent of a core
VERIFY_S = 60.0  # looking for blobs that are due lists a part of the store
VERIFY_STEP_S = 2.0  # then other work has its turn
HEALTH_S = 20.0  # looking for blobs to measure goes through all blobs of all repos
RETRY_S = (60.0, 3600.0)  # a reading process that crashed is started again after this, at most that
SURVEY_SILENCE_S = 6 * 3600.0
"""These steps go through a whole store or catalog without saying how far they are."""

log = structlog.get_logger("cairn.worker")


class Upkeep:
    """The rounds of a lane: whenever there is something to do and nobody is uploading."""

    def __init__(self, house: House, settings: Settings, watch: Watch) -> None:
        self._house = house
        self._settings = settings
        self._watch = watch
        self._profiles = profiles_of(settings)
        self._heat = Heat(house, settings.fast_bytes)
        self._rebasing = Rebasing(house, self._profiles[SMALL.name])
        self.journal = Journal(house.clock())
        self._ends = threading.Event()
        self._beat: Callable[[], None] = lambda: None
        self._last_upload = 0.0
        self._next_housekeeping = 0.0
        self._next_remake = 0.0
        self._replaced = False
        self._next_verify = 0.0
        self._next_health = 0.0
        self._reading = ReadingProcess(settings)
        self._siblings = SiblingReports(house)
        self._next_reading = 0.0
        self._retry_s = RETRY_S[0]

    def uploading(self) -> None:
        """Note that bytes are arriving: optimizing waits until it is quiet."""
        self._last_upload = time.monotonic()

    def end(self) -> None:
        """Leave the work in hand to the next start."""
        self._ends.set()

    def close(self) -> None:
        """End the process that reads, once the lane stopped."""
        self._reading.stop()

    def round(self, lane: Lane) -> None:
        """Everything that is due once."""
        self._beat = lane.pulse.beat
        lane.step("describe", lambda: describe_pending(self._house))
        if self._settings.optimize and self._quiet() and not paused_since(self._house):
            lane.step("optimize", self._optimize)
            if time.monotonic() >= self._next_remake:
                lane.step("remake", self._remake)
        lane.step("read", self._read)
        if self._settings.verify_every_s and time.monotonic() >= self._next_verify:
            lane.step("verify", self._verify)
        if time.monotonic() >= self._next_housekeeping:
            self._next_housekeeping = time.monotonic() + HOUSEKEEPING_S
            self._keep_house(lane)

    def _keep_house(self, lane: Lane) -> None:
        house, settings = self._house, self._settings
        lane.step("expire", lambda: expire_staging(house, settings.xet_epoch_s))
        lane.step("trim chunk lists", lambda: trim_chunk_lists(house, settings.xet_listed_chunks))
        if self._replaced and self._quiet() and not paused_since(house):
            lane.step("compact", self._compact, SURVEY_SILENCE_S)
        lane.step("tune", house.catalog.tune, SURVEY_SILENCE_S)
        lane.step("count", lambda: count_stored_if_limited(house), SURVEY_SILENCE_S)

    def _quiet(self) -> bool:
        return time.monotonic() - self._last_upload >= self._settings.optimize_delay_s

    def _optimize(self) -> None:
        pace, journal = self._pace(), self.journal
        try:
            for done in optimize_pending(
                self._house,
                self._report_damage,
                self._advance,
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
                self._house, [digest], profile, self._report_damage, self._advance, self._pace()
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

    def _advance(self, plain_bytes: int) -> None:
        self._beat()
        self.journal.advance(plain_bytes)

    def _wanted_to_stop(self, wait_s: float) -> bool:
        self._beat()
        return self._ends.wait(wait_s) or paused_since(self._house) is not None

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
            self._beat()
            if self._ends.is_set():
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
        if self._reading.is_running and self._watch.reader_hangs():
            log.error("reading process hangs", pid=self._reading.pid)
            self._reading.kill()
        elif self._reading.is_running:
            self._reading.let_go_on(self._quiet())
        elif time.monotonic() >= self._next_reading and self._quiet() and self._is_any_to_read():
            self._watch.reads(worker_name(self._reading.start()))

    def _is_any_to_read(self) -> bool:
        if any_to_compare(self._house) or any_to_weigh(self._house):
            return True
        if not self._settings.tensor_health or time.monotonic() < self._next_health:
            return False
        self._next_health = time.monotonic() + HEALTH_S
        return any_to_measure(self._house) or self._siblings.ask_next()
