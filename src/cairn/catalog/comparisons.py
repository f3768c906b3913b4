"""What people asked about two trees: which questions wait, how far one is, what was found.

One table for each kind of question: what differs, and what is odd about how one became the other.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Table, and_, delete, exists, func, or_, select, update

from cairn.catalog.database import Database, insert_if_new
from cairn.catalog.schema import commits

MAX_WAITING = 32
"""Questions of a kind that may wait at once: each reads gigabytes, and anyone may ask."""

MAX_KEPT = 2_000
"""Results kept, those asked for last: some 50 kB each for a model of 500 tensors."""

Trees = tuple[str, str]
"""The trees of two revisions, before and after."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asked for; neither `content` nor `failure`: it waits."""

    done_bytes: int
    total_bytes: int
    content: str | None
    failure: str | None

    @property
    def is_waiting(self) -> bool:
        """Whether it still has to be done."""
        return self.content is None and self.failure is None


class Comparisons:
    """One row per pair of trees and version of its form; an older version counts as none."""

    def __init__(self, database: Database, clock: Callable[[], datetime], table: Table) -> None:
        """`table` has the columns of `schema.comparisons`."""
        self._database = database
        self._clock = clock
        self._table = table

    def get(self, trees: Trees, schema: int) -> Asked | None:
        """What is known of these trees; None if nobody asked about them."""
        query = select(self._table).where(self._is(trees), self._table.c.schema == schema)
        with self._database.read() as connection:
            row = connection.execute(query).first()
        if row is None:
            return None
        content = None if row.content is None else zlib.decompress(row.content).decode()
        return Asked(row.done_bytes, row.total_bytes, content, row.failure)

    def ask(self, trees: Trees, schema: int, total_bytes: int) -> bool:
        """Have it done once; False if so many wait already that it is not taken on."""
        waiting = select(func.count()).select_from(self._table).where(self._waits())
        stale = and_(self._is(trees), self._table.c.schema < schema)
        row = {
            **dict(zip(("before", "after"), _keys(trees), strict=True)),
            "schema": schema,
            "asked_at": self._clock(),
            "done_bytes": 0,
            "total_bytes": total_bytes,
        }
        with self._database.write() as connection:
            connection.execute(delete(self._table).where(stale))
            if connection.execute(waiting).scalar_one() >= MAX_WAITING:
                return (
                    connection.execute(select(self._table).where(self._is(trees))).first()
                    is not None
                )
            insert_if_new(connection, self._table, row)
        return True

    def count(self) -> int:
        """How many were asked for, those that wait included."""
        with self._database.read() as connection:
            query = select(func.count()).select_from(self._table)
            return int(connection.execute(query).scalar_one())

    def trees_before(self) -> set[str]:
        """The first trees of all that were asked for."""
        with self._database.read() as connection:
            rows = connection.execute(select(self._table.c.before).distinct())
            return {row.before.hex() for row in rows}

    def due(self, schema: int) -> Trees | None:
        """The one that has waited longest; None when none waits."""
        query = (
            select(self._table.c.before, self._table.c.after)
            .where(self._waits(), self._table.c.schema == schema)
            .order_by(self._table.c.asked_at)
            .limit(1)
        )
        with self._database.read() as connection:
            row = connection.execute(query).first()
        return None if row is None else (row.before.hex(), row.after.hex())

    def report(self, trees: Trees, done_bytes: int, total_bytes: int) -> None:
        """Say how far it is."""
        self._write(trees, done_bytes=done_bytes, total_bytes=total_bytes)

    def finish(self, trees: Trees, content: str) -> None:
        """Keep what was found; the results asked for longest ago make room."""
        self._write(trees, content=zlib.compress(content.encode()))
        last = select(self._table.c.asked_at).order_by(self._table.c.asked_at.desc())
        oldest = last.offset(MAX_KEPT - 1).limit(1).scalar_subquery()
        old = self._table.c.asked_at < oldest
        with self._database.write() as connection:
            connection.execute(delete(self._table).where(old, ~self._waits()))

    def fail(self, trees: Trees, reason: str) -> None:
        """Say why it cannot be done; it is not tried again."""
        self._write(trees, failure=reason)

    def forget_unowned(self) -> int:
        """Drop those with a tree that no revision has any more; returns how many."""
        gone = [
            ~exists().where(commits.c.tree == column)
            for column in (self._table.c.before, self._table.c.after)
        ]
        with self._database.write() as connection:
            return connection.execute(delete(self._table).where(or_(*gone))).rowcount

    def _write(self, trees: Trees, **values: Any) -> None:
        with self._database.write() as connection:
            connection.execute(update(self._table).where(self._is(trees)).values(**values))

    def _is(self, trees: Trees) -> ColumnElement[bool]:
        before, after = _keys(trees)
        return and_(self._table.c.before == before, self._table.c.after == after)

    def _waits(self) -> ColumnElement[bool]:
        return and_(self._table.c.content.is_(None), self._table.c.failure.is_(None))


def _keys(trees: Trees) -> tuple[bytes, bytes]:
    before, after = trees
    return bytes.fromhex(before), bytes.fromhex(after)
