"""The hub's background work: two lanes of their own thread each, and a watch on both.

There is no queue to lose: each step asks store and catalog what is left to do, so a kill
costs at most the blob in hand (docs/decisions/0007-derived-jobs.md).
"""

from cairn.catalog import LaneBeat
from cairn.config import Settings
from cairn.hub.lane import Lane
from cairn.hub.scan_desk import ScanDesk
from cairn.hub.scanning import Scanning
from cairn.hub.upkeep import Upkeep
from cairn.hub.watch import Watch
from cairn.workflows.house import House
from cairn.workflows.journal import Journal


class Worker:
    """Keeps repos safe in one lane and the store small and sound in the other.

    What takes hours, or hangs, in one of them does not hold up the other.
    """

    def __init__(self, house: House, settings: Settings, scans: ScanDesk | None = None) -> None:
        self._house = house
        self._scans = scans or ScanDesk(house)
        self.scanning = Scanning(house, settings, self._scans)
        scan_lane = Lane("scan", house.clock, self.scanning.round)
        upkeep_lane = Lane("upkeep", house.clock, lambda lane: self._upkeep.round(lane))
        self._lanes = (scan_lane, upkeep_lane)
        self.watch = Watch(house, [lane.pulse for lane in self._lanes])
        self._upkeep = Upkeep(house, settings, self.watch)

    @property
    def journal(self) -> Journal:
        """What optimizing is doing and has done."""
        return self._upkeep.journal

    def lanes(self) -> list[LaneBeat]:
        """What the lanes are at, as of now."""
        return self.watch.own()

    def uploading(self) -> None:
        """Note that bytes are arriving: optimizing waits until it is quiet."""
        self._upkeep.uploading()

    def start(self) -> None:
        """Begin working in the background."""
        self.watch.start()
        for lane in self._lanes:
            lane.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Ask the lanes to end and wait; work in hand is left to the next start."""
        for lane in self._lanes:
            lane.end()
        self.scanning.end()
        self._upkeep.end()
        for lane in self._lanes:
            lane.join(timeout_s)
        self._upkeep.close()
        self._scans.close()
        self._lanes[0].step("end turn", self.scanning.rescans.end_turn)
        self.watch.stop(timeout_s)
