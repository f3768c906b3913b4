"""What namespaces may keep and do keep, in bytes."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    Select,
    Table,
    delete,
    exists,
    func,
    insert,
    select,
    union,
)

from cairn.catalog import audit
from cairn.catalog.accounts import find, key_of
from cairn.catalog.database import Database
from cairn.catalog.schema import quotas, repo_blobs, repos, stored_counts, uploads
from cairn.domain import Actor, Digest, Measure, Usage

_BATCH = 500  # digests named in one query

T = TypeVar("T")

_Blobs = Select[tuple[bytes, int]] | CompoundSelect[tuple[bytes, int]]


class Quotas:
    """Limits by namespace and measure, and what counts against them.

    A blob counts once in a namespace, in however many of its repos and revisions it is.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def limit(self, name: str, measure: Measure, max_bytes: int | None, by: Actor | None) -> None:
        """Give a namespace a limit of its own; None: it has none, whatever the hub's default.

        Raises:
            NotFoundError: there is no such account.
        """
        row = {"owner": key_of(name), "measure": measure.value, "max_bytes": max_bytes}
        with self._database.write() as connection:
            self._forget(connection, name, measure)
            connection.execute(insert(quotas), row)
            limit = "none" if max_bytes is None else max_bytes
            self._note(connection, name, by, f"{measure.value} {limit}")

    def reset(self, name: str, measure: Measure, by: Actor | None) -> None:
        """Let the hub's default hold for a namespace again.

        Raises:
            NotFoundError: there is no such account.
        """
        with self._database.write() as connection:
            self._forget(connection, name, measure)
            self._note(connection, name, by, f"{measure.value} default")

    def own(self, name: str) -> dict[Measure, int | None]:
        """The limits that were set for a namespace itself; None: no limit."""
        query = select(quotas.c.measure, quotas.c.max_bytes).where(quotas.c.owner == key_of(name))
        with self._database.read() as connection:
            return {Measure(measure): limit for measure, limit in connection.execute(query)}

    def limits_any(self, measure: Measure) -> bool:
        """Whether some namespace has a limit of its own by this measure."""
        row = quotas.c.measure == measure.value
        query = select(exists().where(row, quotas.c.max_bytes.is_not(None)))
        with self._database.read() as connection:
            return bool(connection.execute(query).scalar_one())

    def usage(self, name: str) -> Usage:
        """What a namespace has now, and what it took on disk when that was counted last."""
        query = select(stored_counts).where(stored_counts.c.owner == key_of(name))
        with self._database.read() as connection:
            logical = _total(connection, _received(name))
            row = connection.execute(query).one_or_none()
        return Usage(logical) if row is None else Usage(logical, row.stored_bytes, row.counted_at)

    def committed_bytes(self, name: str) -> int:
        """Bytes of the different files in all revisions of a namespace's repos."""
        with self._database.read() as connection:
            return _total(connection, _committed(name))

    def not_received(self, name: str, digests: Iterable[Digest]) -> set[Digest]:
        """Those that no repo of the namespace has, or was sent lately."""
        return self._missing(name, digests, (repo_blobs, uploads))

    def not_committed(self, name: str, digests: Iterable[Digest]) -> set[Digest]:
        """Those that no revision of any repo of the namespace has."""
        return self._missing(name, digests, (repo_blobs,))

    def unknown_sizes(self, name: str, sizes: Iterable[int]) -> set[int]:
        """Those that no file of the namespace has: a file of such a size must be a new one."""
        wanted = sorted(set(sizes))
        with self._database.read() as connection:
            held = _received(name).subquery()
            found = _among(connection, select(held.c.size_bytes), held.c.size_bytes, wanted)
        return set(wanted) - found

    def record_stored(self, counted: Mapping[str, int]) -> None:
        """Note what each namespace takes on disk now; those not named take nothing."""
        now = self._clock()
        rows = [
            {"owner": key_of(name), "stored_bytes": size, "counted_at": now}
            for name, size in counted.items()
        ]
        with self._database.write() as connection:
            connection.execute(delete(stored_counts))
            if rows:
                connection.execute(insert(stored_counts), rows)

    def _missing(
        self, name: str, digests: Iterable[Digest], tables: tuple[Table, ...]
    ) -> set[Digest]:
        wanted = {digest.raw: digest for digest in digests}
        found: set[bytes] = set()
        with self._database.read() as connection:
            for table in tables:
                query = _held(table, name).with_only_columns(table.c.digest)
                found |= _among(connection, query, table.c.digest, list(wanted))
        return {digest for raw, digest in wanted.items() if raw not in found}

    def _forget(self, connection: Connection, name: str, measure: Measure) -> None:
        find(connection, name)
        row = {"owner": key_of(name), "measure": measure.value}
        connection.execute(delete(quotas).filter_by(**row))

    def _note(self, connection: Connection, name: str, by: Actor | None, detail: str) -> None:
        audit.note(connection, self._clock(), by, "quota.set", None, f"{name} {detail}")


def _committed(name: str) -> Select[tuple[bytes, int]]:
    """Digest and size of every blob in a revision, once."""
    return _held(repo_blobs, name).distinct()


def _received(name: str) -> CompoundSelect[tuple[bytes, int]]:
    """The same with what was sent and may be committed yet."""
    return union(_held(repo_blobs, name), _held(uploads, name))


def _held(table: Table, name: str) -> Select[tuple[bytes, int]]:
    """A row for each repo of the namespace that has the blob."""
    return (
        select(table.c.digest, table.c.size_bytes)
        .join(repos, repos.c.uid == table.c.repo)
        .where(repos.c.owner == key_of(name))
    )


def _total(connection: Connection, blobs: _Blobs) -> int:
    query = select(func.coalesce(func.sum(blobs.subquery().c.size_bytes), 0))
    return int(connection.execute(query).scalar_one())


def _among(
    connection: Connection, query: Select[Any], column: ColumnElement[T], wanted: list[T]
) -> set[T]:
    """Those of the wanted values that the query has in this column, its only one."""
    found: set[T] = set()
    for start in range(0, len(wanted), _BATCH):
        rows = connection.execute(query.where(column.in_(wanted[start : start + _BATCH])))
        found.update(value for (value,) in rows)
    return found
