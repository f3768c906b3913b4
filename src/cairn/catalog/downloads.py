"""How often repos are downloaded: counted in memory, written together, and what is trending.

A trending score is a sum of downloads that halve in weight every seven days. It is kept as
a logarithm that never needs updating as time passes: a download at time t adds 2^(t/half-life)
("forward decay", Cormode et al., ICDE 2009), so the order of stored values is the order of
scores at any moment, and an index can serve it.
"""

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from math import log2
from threading import Lock, Timer

from sqlalchemy import bindparam, select, update

from cairn.catalog.database import Database
from cairn.catalog.schema import repos
from cairn.errors import UnavailableError

HALF_LIFE = timedelta(days=7)
FLUSH_AFTER_S = (
    2.0  # one write per two seconds however many downloads; lost on a kill: the last two
)
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
NEVER = 0.0  # the stored value of a repo nobody downloaded; any real one is above 2000


def raised(trending: float, downloads: int, when: datetime) -> float:
    """The stored value after more downloads at `when`."""
    added = (when - _EPOCH) / HALF_LIFE + log2(downloads)
    high, low = max(trending, added), min(trending, added)
    return high + log2(1 + 2.0 ** max(low - high, -1000.0))


def score(trending: float, now: datetime) -> float:
    """Downloads, each weighing half for every seven days since."""
    if trending == NEVER:
        return 0.0
    return float(2.0 ** min(max(trending - (now - _EPOCH) / HALF_LIFE, -1000.0), 1000.0))


class Downloads:
    """Counts downloads by repo key and writes them every two seconds while there are any."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self._lock = Lock()
        self._flushing = Lock()
        self._waiting: Counter[str] = Counter()
        self._timer: Timer | None = None

    def add(self, key: str, n: int) -> None:
        """Count `n` more."""
        if n <= 0:
            return
        with self._lock:
            self._waiting[key] += n
            self._schedule()

    def waiting(self, key: str) -> int:
        """Downloads of a repo counted here and not written yet."""
        with self._lock:
            return self._waiting[key]

    def flush(self) -> None:
        """Write what was counted.

        Raises:
            UnavailableError: the database cannot be written; nothing is lost or counted twice.
        """
        with self._flushing:
            with self._lock:
                counted = Counter(self._waiting)
            if counted:
                self._write(counted)
            with self._lock:
                self._waiting -= counted

    def close(self) -> None:
        """Stop the timer and write what was counted."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
        self.flush()

    def _schedule(self) -> None:
        if self._timer is None:
            self._timer = Timer(FLUSH_AFTER_S, self._on_timer)
            self._timer.daemon = True
            self._timer.start()

    def _on_timer(self) -> None:
        with self._lock:
            self._timer = None
        try:
            self.flush()
        except UnavailableError:
            with self._lock:
                self._schedule()

    def _write(self, counted: Counter[str]) -> None:
        now = self._clock()
        # In key order, so that two writers on PostgreSQL cannot wait for each other.
        query = (
            select(repos.c.id, repos.c.key, repos.c.downloads, repos.c.trending)
            .where(repos.c.key.in_(sorted(counted)))
            .order_by(repos.c.key)
            .with_for_update()
        )
        statement = (
            update(repos)
            .where(repos.c.id == bindparam("number"))
            .values(downloads=bindparam("total"), trending=bindparam("raised"))
        )
        with self._database.write() as connection:
            rows = [
                {
                    "number": row.id,
                    "total": row.downloads + counted[row.key],
                    "raised": raised(row.trending, counted[row.key], now),
                }
                for row in connection.execute(query)
            ]
            if rows:
                connection.execute(statement, rows)
