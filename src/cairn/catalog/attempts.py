"""How often somebody tried to sign in lately: counted before the attempt, in one place for all.

The count is in the database, so that several processes cannot be asked in turn. What is counted
is known by its hash only: people type passwords where names belong.
"""

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, select, update

from cairn.catalog.database import Database, insert_if_new
from cairn.catalog.schema import attempts
from cairn.errors import ThrottledError, UnavailableError


class Attempts:
    """Attempts by subject, such as an account or an address."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def begin(self, limits: Mapping[str, int], window_s: float) -> None:
        """Count one attempt of each subject, if none has made as many as its limit.

        Windows begin with their first attempt. What has ended is forgotten on the way, so the
        table holds what one window saw.

        Raises:
            ThrottledError: a subject is at its limit; says for how long.
        """
        now = self._clock()
        self._sweep(now)
        ends_at = now + timedelta(seconds=window_s)
        with self._database.write() as connection:
            # Counted first and looked at then: a row that was counted up is locked until we are
            # done. In the order of their keys, so that two attempts cannot wait for each other.
            keys = sorted((_key(subject), limit) for subject, limit in limits.items())
            counts = [(*_counted(connection, key, now, ends_at), limit) for key, limit in keys]
            full = [end for number, end, limit in counts if number > limit]
            if full:  # raised inside the transaction: what it counted is undone
                raise ThrottledError(
                    "too many attempts to sign in; wait before the next one",
                    retry_after_s=(max(full) - now).total_seconds(),
                )

    def _sweep(self, now: datetime) -> None:
        """Forget windows that have ended; in a transaction of its own, which holds nobody up."""
        try:
            with self._database.write() as connection:
                connection.execute(delete(attempts).where(attempts.c.ends_at <= now))
        except UnavailableError:
            return  # the next attempt sweeps

    def forget(self, subject: str) -> None:
        """Count a subject from nought again."""
        with self._database.write() as connection:
            connection.execute(delete(attempts).where(attempts.c.subject == _key(subject)))

    def take_back(self, subject: str) -> None:
        """Not count the last attempt: it was none."""
        with self._database.write() as connection:
            held = (attempts.c.subject == _key(subject)) & (attempts.c.number > 0)
            less = update(attempts).where(held).values(number=attempts.c.number - 1)
            connection.execute(less)


def _counted(
    connection: Connection, key: bytes, now: datetime, ends_at: datetime
) -> tuple[int, datetime]:
    """How many attempts there are with this one, and when their window ends."""
    if insert_if_new(connection, attempts, {"subject": key, "number": 1, "ends_at": ends_at}):
        return 1, ends_at
    held = attempts.c.subject == key
    connection.execute(update(attempts).where(held).values(number=attempts.c.number + 1))
    row = connection.execute(select(attempts).where(held)).one_or_none()
    if row is None:  # swept by another process between the two
        return _counted(connection, key, now, ends_at)
    if row.ends_at <= now:
        connection.execute(update(attempts).where(held).values(number=1, ends_at=ends_at))
        return 1, ends_at
    return row.number, row.ends_at


def _key(subject: str) -> bytes:
    return hashlib.sha256(subject.encode(errors="surrogatepass")).digest()
