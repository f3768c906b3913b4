"""What the worker does to keep repos safe: logs what happened, scans what landed, tells of it."""

import threading

import structlog

from cairn.config import Settings
from cairn.domain import Digest, ScanPolicy, Verdict
from cairn.hub.lane import Lane
from cairn.hub.scan_desk import ScanDesk
from cairn.workflows.house import House
from cairn.workflows.recall import tell_changes
from cairn.workflows.rejudging import Judged, Rescans
from cairn.workflows.stored_scans import scan_pending
from cairn.workflows.transparency import settle

REJUDGE_STEP_S = 2.0  # then what landed meanwhile has its turn

log = structlog.get_logger("cairn.worker")


class Scanning:
    """The rounds of a lane of its own: nothing that takes hours holds up a scan."""

    def __init__(self, house: House, settings: Settings, scans: ScanDesk) -> None:
        self._house = house
        self._settings = settings
        self._scans = scans
        self.rescans = Rescans(house)
        self._lost: set[Digest] = set()  # until the next start: they may be repaired
        self._refs_found = False
        self._ends = threading.Event()

    def round(self, lane: Lane) -> None:
        """Everything once, in the order in which others wait for it."""
        self._scans.advance = lane.pulse.beat  # whoever has it scan: this lane waits for it
        if not self._refs_found:
            self._refs_found = True
            lane.step("find refs", self._house.catalog.logbook.note_unlogged_refs)
        lane.step("log", lambda: settle(self._house))
        lane.step("tell", self.tell)
        lane.step("scan", self.scan)

    def end(self) -> None:
        """Stop after the scan in hand."""
        self._ends.set()

    def scan(self) -> None:
        """Scan what landed, and judge anew what older rules judged, if a repo is to be scanned."""
        policies = self._house.catalog.scan_policies
        hub = policies.of_hub() or self._settings.scan_policy
        if hub == ScanPolicy.ALLOW and not policies.any_scans():
            return
        if self.rescans.take_turn():
            for judged in scan_pending(self._house, self._scans.scan, self._lost):
                _log_verdict("scanned", judged)
                if self._ends.is_set() or not self.rescans.take_turn():
                    return
            for judged in self.rescans.judge(REJUDGE_STEP_S):
                _log_verdict("verdict changed", judged)
        self._scans.rest()

    def tell(self) -> None:
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


def _log_verdict(event: str, judged: Judged) -> None:
    tell = log.warning if judged.verdict is Verdict.MALICIOUS else log.info
    before = {} if judged.before is None else {"before": judged.before.value}
    tell(event, blob=judged.blob_hex, name=judged.name, verdict=judged.verdict.value, **before)
