"""Signs of life of background work, so that whoever looks can tell work from hanging."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, delete, insert, select

from cairn.catalog.database import Database
from cairn.catalog.schema import lanes


@dataclass(frozen=True, slots=True)
class LaneBeat:
    """What a lane of a worker was at when it last advanced, and when it has to again.

    `seen_at` is when its process last said so: long ago if that was killed.
    """

    worker: str
    lane: str
    step: str
    began_at: datetime
    advanced_at: datetime
    due_at: datetime
    seen_at: datetime

    @property
    def hangs(self) -> bool:
        """Whether it should have advanced by the time its process last said what it is at."""
        return self.due_at < self.seen_at


class Lanes:
    """The last sign of life of every lane, of all processes on this catalog."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def put(self, worker: str, beats: Iterable[LaneBeat]) -> None:
        """Note what the lanes of a worker are at, in place of what was noted of it."""
        rows = [
            {
                "worker": worker,
                "lane": beat.lane,
                "step": beat.step,
                "began_at": beat.began_at,
                "advanced_at": beat.advanced_at,
                "due_at": beat.due_at,
                "seen_at": beat.seen_at,
            }
            for beat in beats
        ]
        with self._database.write() as connection:
            connection.execute(delete(lanes).filter_by(worker=worker))
            if rows:
                connection.execute(insert(lanes), rows)

    def all(self) -> list[LaneBeat]:
        """Everything noted, by worker and lane."""
        return self._read(select(lanes))

    def overdue(self) -> list[LaneBeat]:
        """Those that should have advanced since."""
        return self._read(select(lanes).where(lanes.c.due_at < self._clock()))

    def forget(self, worker: str) -> None:
        """Note that a worker ended."""
        self.put(worker, [])

    def forget_dead(self, for_s: float) -> None:
        """Drop what processes said that were silent for so long: they were killed."""
        before = self._clock() - timedelta(seconds=for_s)
        with self._database.write() as connection:
            connection.execute(delete(lanes).where(lanes.c.seen_at < before))

    def _read(self, query: Select[Any]) -> list[LaneBeat]:
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(lanes.c.worker, lanes.c.lane))
            return [LaneBeat(**row._mapping) for row in rows]
