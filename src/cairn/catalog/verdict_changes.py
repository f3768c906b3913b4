"""Which verdicts on stored blobs became others, and whether those who own them know."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from cairn.catalog.database import Database
from cairn.catalog.schema import verdict_changes
from cairn.domain import Digest, Verdict


@dataclass(frozen=True, slots=True)
class VerdictChange:
    """A blob under a name that is judged otherwise since `at`."""

    number: int
    digest: Digest
    name: str
    before: Verdict
    after: Verdict
    rules: str
    at: datetime
    told_at: datetime | None

    @property
    def is_recall(self) -> bool:
        """Whether what was given out as better turned out to be dangerous."""
        return self.after.rank > self.before.rank and self.after.is_dangerous


def note(connection: Connection, rows: list[dict[str, Any]]) -> None:
    """Record changes in the transaction that makes them."""
    if rows:
        connection.execute(insert(verdict_changes), rows)


class VerdictChanges:
    """Rows are added with the verdicts they tell of, and never taken away."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def of(self, digest: Digest) -> list[VerdictChange]:
        """All changes about a blob, newest first."""
        query = select(verdict_changes).where(verdict_changes.c.digest == digest.raw)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(verdict_changes.c.id.desc()))
            return [_change(row) for row in rows]

    def for_worse(self, limit: int) -> list[VerdictChange]:
        """The last changes to suspicious or malicious from something better, newest first."""
        dangerous = [verdict.value for verdict in Verdict if verdict.is_dangerous]
        query = (
            select(verdict_changes)
            .where(
                verdict_changes.c.after.in_(dangerous),
                verdict_changes.c.before != Verdict.MALICIOUS.value,
            )
            .order_by(verdict_changes.c.id.desc())
            .limit(limit)
        )
        with self._database.read() as connection:
            return [one for row in connection.execute(query) if (one := _change(row)).is_recall]

    def untold(self, limit: int) -> list[VerdictChange]:
        """Changes that owners do not know of yet, oldest first."""
        query = (
            select(verdict_changes)
            .where(verdict_changes.c.told_at.is_(None))
            .order_by(verdict_changes.c.id)
            .limit(limit)
        )
        with self._database.read() as connection:
            return [_change(row) for row in connection.execute(query)]

    def told(self, numbers: Iterable[int]) -> None:
        """Note that owners know of these, or need not."""
        change = update(verdict_changes).where(verdict_changes.c.id.in_(list(numbers)))
        with self._database.write() as connection:
            connection.execute(change.values(told_at=self._clock()))


def _change(row: Row[Any]) -> VerdictChange:
    return VerdictChange(
        row.id,
        Digest.sha256(row.digest.hex()),
        row.name,
        Verdict(row.before),
        Verdict(row.after),
        row.rules,
        row.at,
        row.told_at,
    )
