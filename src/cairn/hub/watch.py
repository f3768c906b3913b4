"""Watches background work: notes its signs of life in the catalog, and tells of what hangs."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import structlog

from cairn.catalog import LaneBeat
from cairn.hub.lane import Lane
from cairn.hub.pulse import Pulse, worker_name
from cairn.workflows.house import House
from cairn.workflows.notifications import NoticeKind, notify_admins

BEAT_S = 15.0
HEARD_S = 4 * BEAT_S
"""Who said nothing for so long was killed, and hangs no more."""
FORGET_S = 3600.0

log = structlog.get_logger("cairn.watch")


class Watch:
    """A thread that looks at the lanes of this process, and of the one that reads for it.

    Each hub tells of its own: several on one catalog would tell everybody several times.
    A thread that hangs cannot be ended from outside: administrators are told, and restart the
    process. What runs in a process of its own is ended by who started it.
    """

    def __init__(self, house: House, pulses: Sequence[Pulse]) -> None:
        self._house = house
        self._pulses = pulses
        self._overdue: list[LaneBeat] = []
        self._told: set[tuple[str, str, datetime]] = set()
        self._reader: str | None = None
        self._reads_since = datetime.min.replace(tzinfo=UTC)
        self._lane = Lane("watch", house.clock, lambda lane: lane.step("watch", self.look), BEAT_S)

    def start(self) -> None:
        """Note the first sign of life, and go on in the background."""
        self._lane.step("watch", self.look)
        self._lane.start()

    def stop(self, timeout_s: float) -> None:
        """Stop, and have the catalog forget this process."""
        self._lane.end()
        self._lane.join(timeout_s)
        self._lane.step("forget", lambda: self._house.catalog.lanes.forget(worker_name()))

    def own(self) -> list[LaneBeat]:
        """What the lanes of this process are at, as of now."""
        return [pulse.read() for pulse in self._pulses]

    def reads(self, worker: str) -> None:
        """A process began to read for this hub; what an older one of its name said is forgotten.

        Names come again: in a container the numbers of processes begin anew with each start.
        """
        self._reader, self._reads_since = worker, self._house.clock()
        self._house.catalog.lanes.forget(worker)

    def reader_hangs(self) -> bool:
        """Whether it did not advance when it had to, or is silent, as of the last look."""
        return any(
            beat.worker == self._reader and beat.seen_at >= self._reads_since
            for beat in self._overdue
        )

    def look(self) -> None:
        """Note what this process is at, and tell once of each step that hangs."""
        lanes = self._house.catalog.lanes
        lanes.put(worker_name(), self.own())
        lanes.forget_dead(FORGET_S)
        self._overdue = lanes.overdue()
        heard = self._house.clock() - timedelta(seconds=HEARD_S)
        hanging = {
            (one.worker, one.lane, one.advanced_at): one
            for one in lanes.all()
            if one.worker in (worker_name(), self._reader) and one.hangs and one.seen_at > heard
        }
        for key in hanging.keys() - self._told:
            self._tell(hanging[key])
        self._told = set(hanging)

    def _tell(self, beat: LaneBeat) -> None:
        since = beat.advanced_at.isoformat(timespec="seconds")
        log.error("no progress", worker=beat.worker, lane=beat.lane, step=beat.step, since=since)
        text = (
            f"background work hangs: {beat.step} ({beat.lane} of {beat.worker}) did not advance"
            f" since {since}; restart that hub if it does not go on"
        )
        notify_admins(self._house, NoticeKind.HUB, text)
