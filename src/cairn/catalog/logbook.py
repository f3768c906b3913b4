"""The rows of the transparency log: what waits, entries by number, tiles of hashes.

Entries are only ever added. What they say and how they hash is known to `provenance`; here they
are bytes under numbers without a gap.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, func, insert, or_, select, text, update

from cairn.catalog import audit, log_waiting
from cairn.catalog.database import Database, insert_if_new
from cairn.catalog.schema import log_entries, log_tiles, refs
from cairn.catalog.schema import log_waiting as waiting_table
from cairn.domain import Actor, LogEvent, LogKind, RepoId, RepoType

_LOCK = 0x6361_6972_6E_6C6F67  # "cairnlog": who adds to the log on PostgreSQL takes turns


@dataclass(frozen=True, slots=True)
class WaitingEvent:
    """An event that is not in the log yet, the repo's uid, whether it was private then.

    `tree` is the `Revision.tree` of commit `event.new`, if there is one.
    """

    id: int
    repo: str
    private: bool
    tree: str | None
    event: LogEvent


@dataclass(frozen=True, slots=True)
class Logged:
    """An entry and its number. `salt` and `content` open it if it is hidden."""

    number: int
    entry: bytes
    salt: bytes | None = None
    content: bytes | None = None


class Logbook:
    """Adds entries to the log and reads them."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def size(self) -> int:
        """How many entries there are."""
        with self._database.read() as connection:
            return _size(connection)

    def waiting(self, limit: int) -> list[WaitingEvent]:
        """The first events that are not in the log yet, in the order they shall have."""
        query = select(waiting_table).order_by(waiting_table.c.id).limit(limit)
        with self._database.read() as connection:
            return [_waiting(row) for row in connection.execute(query)]

    def append(
        self,
        size: int,
        added: Sequence[tuple[WaitingEvent, Logged]],
        tiles: Mapping[tuple[int, int], bytes],
    ) -> bool:
        """Put events into a log of `size` entries; False if it, or what waits, has changed by now.

        `tiles` are the hashes of those that change, by level and number. Durable on return;
        the events wait no longer.
        """
        with self._database.write() as connection:
            self._take_turns(connection)
            ids = [event.id for event, _ in added]
            still = select(func.count()).where(waiting_table.c.id.in_(ids))
            if _size(connection) != size or connection.execute(still).scalar_one() != len(ids):
                return False
            connection.execute(insert(log_entries), [_row(*pair) for pair in added])
            for (level, number), hashes in tiles.items():
                _put_tile(connection, level, number, hashes)
            connection.execute(delete(waiting_table).where(waiting_table.c.id.in_(ids)))
        return True

    def tile(self, level: int, number: int) -> bytes | None:
        """The hashes of a tile as it is now; None if it has none."""
        query = select(log_tiles.c.hashes).filter_by(level=level, number=number)
        with self._database.read() as connection:
            return connection.execute(query).scalar_one_or_none()

    def entries(self, first: int, end: int) -> list[bytes]:
        """The entries from number `first` to `end`, as far as there are any."""
        query = (
            select(log_entries.c.entry)
            .where(log_entries.c.number >= first, log_entries.c.number < end)
            .order_by(log_entries.c.number)
        )
        with self._database.read() as connection:
            return list(connection.execute(query).scalars())

    def of_commit(self, uid: str, commit: str) -> Logged | None:
        """The first entry that says that a ref of the repo is at a commit."""
        query = _logged().where(log_entries.c.repo == uid, log_entries.c.commit == commit)
        with self._database.read() as connection:
            row = connection.execute(query.order_by(log_entries.c.number).limit(1)).one_or_none()
        return None if row is None else Logged(row.number, row.entry, row.salt, row.content)

    def note_key(self, by: Actor, details: Mapping[str, str]) -> None:
        """Let wait that another key signs the log; `details` name both. Also in the audit trail."""
        now = self._clock()
        with self._database.write() as connection:
            audit.note(connection, now, by, LogKind.KEY.value, None, " -> ".join(details.values()))
            log_waiting.decided(connection, None, LogKind.KEY, details, actor=by.name, at=now)

    def note_unlogged_refs(self) -> int:
        """Let every ref wait of which the log says something else, or nothing; how many.

        So are the refs of a hub that had no log yet brought into it.
        """
        last = (
            select(log_entries.c.commit)
            .where(log_entries.c.repo == refs.c.repo, log_entries.c.ref == refs.c.name)
            .order_by(log_entries.c.number.desc())
            .limit(1)
            .scalar_subquery()
        )
        waits = select(waiting_table.c.id).where(
            waiting_table.c.repo == refs.c.repo, waiting_table.c.ref == refs.c.name
        )
        # One statement sees refs and what waits at one moment.
        query = select(refs, last.label("last")).where(
            or_(last.is_(None), last != refs.c.commit), ~waits.exists()
        )
        with self._database.read() as connection:
            if connection.execute(query.limit(1)).first() is None:
                return 0  # the usual start does not ask for the write lock
        with self._database.write() as connection:
            self._take_turns(connection)
            found = connection.execute(query.order_by(refs.c.repo, refs.c.name)).all()
            for row in found:
                log_waiting.ref_moved(
                    connection,
                    row.repo,
                    row.name,
                    row.last,
                    row.commit,
                    actor=audit.SYSTEM,
                    at=self._clock(),
                    kind=LogKind.REF_FOUND,
                )
        return len(found)

    def _take_turns(self, connection: Connection) -> None:
        if not self._database.is_sqlite:  # SQLite has one writer anyway
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def _size(connection: Connection) -> int:
    last = connection.execute(select(func.max(log_entries.c.number))).scalar()
    return 0 if last is None else last + 1


def _logged() -> Select[Any]:
    columns = (log_entries.c.number, log_entries.c.entry, log_entries.c.salt, log_entries.c.content)
    return select(*columns)


def _row(waited: WaitingEvent, logged: Logged) -> dict[str, Any]:
    return {
        "number": logged.number,
        "repo": waited.repo,
        "ref": waited.event.ref,
        "commit": waited.event.new,
        "entry": logged.entry,
        "salt": logged.salt,
        "content": logged.content,
    }


def _put_tile(connection: Connection, level: int, number: int, hashes: bytes) -> None:
    place = {"level": level, "number": number}
    if not insert_if_new(connection, log_tiles, place | {"hashes": hashes}):
        connection.execute(update(log_tiles).filter_by(**place).values(hashes=hashes))


def _waiting(row: Row[Any]) -> WaitingEvent:
    event = LogEvent(
        kind=LogKind(row.kind),
        repo=RepoId(RepoType(row.type), row.namespace, row.name) if row.type else None,
        actor=row.actor,
        at=row.at,
        ref=row.ref,
        old=row.old,
        new=row.new,
        details=json.loads(row.details),
    )
    tree = None if row.tree is None else row.tree.hex()
    return WaitingEvent(row.id, row.repo, row.private, tree, event)
