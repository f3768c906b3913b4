"""Comparisons of two trees that people asked for: which wait, how far one is, what was found."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, exists, func, or_, select, update

from cairn.catalog.database import Database, insert_if_new
from cairn.catalog.schema import commits, comparisons

MAX_WAITING = 32
"""Comparisons that may wait at once: each reads gigabytes, and anyone may ask."""

MAX_KEPT = 2_000
"""Results kept, those asked for last: some 50 kB each for a model of 500 tensors."""

Trees = tuple[str, str]
"""The trees of two revisions, before and after."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A comparison somebody asked for; neither `content` nor `failure`: it waits."""

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

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def get(self, trees: Trees, schema: int) -> Asked | None:
        """What is known of this comparison; None if nobody asked for it."""
        query = select(comparisons).where(_is(trees), comparisons.c.schema == schema)
        with self._database.read() as connection:
            row = connection.execute(query).first()
        if row is None:
            return None
        content = None if row.content is None else zlib.decompress(row.content).decode()
        return Asked(row.done_bytes, row.total_bytes, content, row.failure)

    def ask(self, trees: Trees, schema: int, total_bytes: int) -> bool:
        """Have it done once; False if so many wait already that it is not taken on."""
        waiting = select(func.count()).select_from(comparisons).where(_waits())
        stale = and_(_is(trees), comparisons.c.schema < schema)
        row = {
            **dict(zip(("before", "after"), _keys(trees), strict=True)),
            "schema": schema,
            "asked_at": self._clock(),
            "done_bytes": 0,
            "total_bytes": total_bytes,
        }
        with self._database.write() as connection:
            connection.execute(delete(comparisons).where(stale))
            if connection.execute(waiting).scalar_one() >= MAX_WAITING:
                return connection.execute(select(comparisons).where(_is(trees))).first() is not None
            insert_if_new(connection, comparisons, row)
        return True

    def due(self, schema: int) -> Trees | None:
        """The one that has waited longest; None when none waits."""
        query = (
            select(comparisons.c.before, comparisons.c.after)
            .where(_waits(), comparisons.c.schema == schema)
            .order_by(comparisons.c.asked_at)
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
        last = select(comparisons.c.asked_at).order_by(comparisons.c.asked_at.desc())
        oldest = last.offset(MAX_KEPT - 1).limit(1).scalar_subquery()
        old = comparisons.c.asked_at < oldest
        with self._database.write() as connection:
            connection.execute(delete(comparisons).where(old, ~_waits()))

    def fail(self, trees: Trees, reason: str) -> None:
        """Say why it cannot be done; it is not tried again."""
        self._write(trees, failure=reason)

    def forget_unowned(self) -> int:
        """Drop those with a tree that no revision has any more; returns how many."""
        gone = [
            ~exists().where(commits.c.tree == column)
            for column in (comparisons.c.before, comparisons.c.after)
        ]
        with self._database.write() as connection:
            return connection.execute(delete(comparisons).where(or_(*gone))).rowcount

    def _write(self, trees: Trees, **values: Any) -> None:
        with self._database.write() as connection:
            connection.execute(update(comparisons).where(_is(trees)).values(**values))


def _keys(trees: Trees) -> tuple[bytes, bytes]:
    before, after = trees
    return bytes.fromhex(before), bytes.fromhex(after)


def _is(trees: Trees) -> ColumnElement[bool]:
    before, after = _keys(trees)
    return and_(comparisons.c.before == before, comparisons.c.after == after)


def _waits() -> ColumnElement[bool]:
    return and_(comparisons.c.content.is_(None), comparisons.c.failure.is_(None))
