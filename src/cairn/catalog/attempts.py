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
from cairn.errors import ThrottledError


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
        keys = {_key(subject): limit for subject, limit in sorted(limits.items())}
        with self._database.write() as connection:
            connection.execute(delete(attempts).where(attempts.c.ends_at <= now))
            full = [end for key, limit in keys.items() if (end := _full(connection, key, limit))]
            if full:
                raise ThrottledError(
                    "too many attempts to sign in; wait before the next one",
                    retry_after_s=(max(full) - now).total_seconds(),
                )
            for key in sorted(keys):
                row = {"subject": key, "number": 1, "ends_at": now + timedelta(seconds=window_s)}
                if not insert_if_new(connection, attempts, row):
                    more = update(attempts).where(attempts.c.subject == key)
                    connection.execute(more.values(number=attempts.c.number + 1))

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


def _full(connection: Connection, key: bytes, limit: int) -> datetime | None:
    """When the window of a subject at its limit ends; its row is locked until we are done."""
    query = select(attempts).where(attempts.c.subject == key).with_for_update()
    row = connection.execute(query).one_or_none()
    if row is None or row.number < limit:
        return None
    ends_at: datetime = row.ends_at
    return ends_at


def _key(subject: str) -> bytes:
    return hashlib.sha256(subject.encode(errors="surrogatepass")).digest()
