"""Which rules and extractors hold on this hub, how far judging by them is, and who does it.

Several workers may share a catalog, and be of two versions while a hub is upgraded. The rules
that were announced last hold, and only who has those judges: else two versions would undo each
other's verdicts for ever.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, func, insert, or_, select, update

from cairn.catalog.database import Database
from cairn.catalog.schema import rule_sets


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Rules and extractors of some worker; `judged` scans took `busy_s` seconds up to now."""

    number: int
    rules: str
    extraction: str
    announced_at: datetime
    judged: int
    busy_s: float
    held_until: datetime | None


class RuleSets:
    """The rules that workers brought along; the last announced hold."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def announce(self, rules: str, extraction: str) -> int:
        """Make these the rules and extractors that hold; returns their number."""
        with self._database.write() as connection:
            last = connection.execute(_last()).first()
            if last is not None and (last.rules, last.extraction) == (rules, extraction):
                return int(last.number)
            row = {
                "rules": rules,
                "extraction": extraction,
                "announced_at": self._clock(),
                "judged": 0,
                "busy_s": 0.0,
            }
            done = connection.execute(insert(rule_sets).values(row))
            assert done.inserted_primary_key is not None
            return int(done.inserted_primary_key[0])

    def newest(self) -> RuleSet | None:
        """Those that hold; None before the first worker."""
        with self._database.read() as connection:
            row = connection.execute(_last()).first()
        return None if row is None else _rule_set(row)

    def claim(self, number: int, holder: str, for_s: float) -> bool:
        """Whether `holder` may judge by these rules for so long, alone; again to go on.

        False if others came since, or somebody else is at it.
        """
        now = self._clock()
        newest = select(func.max(rule_sets.c.number)).scalar_subquery()
        free = or_(
            rule_sets.c.holder.is_(None),
            rule_sets.c.holder == holder,
            rule_sets.c.held_until < now,
        )
        change = (
            update(rule_sets)
            .where(rule_sets.c.number == number, rule_sets.c.number == newest, free)
            .values(holder=holder, held_until=now + timedelta(seconds=for_s))
        )
        with self._database.write() as connection:
            return connection.execute(change).rowcount == 1

    def release(self, number: int, holder: str) -> None:
        """Let others go on."""
        with self._database.write() as connection:
            connection.execute(
                update(rule_sets).where(_held(number, holder)).values(holder=None, held_until=None)
            )

    def note_work(self, number: int, holder: str, judged: int, busy_s: float) -> None:
        """Add to what was judged, and to the time it took."""
        change = (
            update(rule_sets)
            .where(_held(number, holder))
            .values(judged=rule_sets.c.judged + judged, busy_s=rule_sets.c.busy_s + busy_s)
        )
        with self._database.write() as connection:
            connection.execute(change)


def _last() -> Any:
    return select(rule_sets).order_by(rule_sets.c.number.desc()).limit(1)


def _held(number: int, holder: str) -> ColumnElement[bool]:
    return and_(rule_sets.c.number == number, rule_sets.c.holder == holder)


def _rule_set(row: Row[Any]) -> RuleSet:
    return RuleSet(
        row.number,
        row.rules,
        row.extraction,
        row.announced_at,
        row.judged,
        row.busy_s,
        row.held_until,
    )
