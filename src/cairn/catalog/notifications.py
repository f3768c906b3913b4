"""What people are told: a short list for each account, the newest first, read or not yet."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from cairn.catalog.accounts import key_of
from cairn.catalog.database import Database, storable
from cairn.catalog.records import Notification
from cairn.catalog.schema import accounts, notifications, repos
from cairn.domain import RepoId, RepoType
from cairn.errors import RequestError

MOST_KEPT = 500
"""Notifications of one account; beyond them the oldest go."""

MAX_TEXT_CHARACTERS = 1000


class Notifications:
    """Notifications by account."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def add(
        self, owners: Iterable[str], kind: str, text: str, link: str, repo: str | None = None
    ) -> int:
        """Tell each of these accounts something; how many were told who did not wait to read it.

        Whoever has the same text unread is not told again. `repo` is the uid of the repo it is
        about. Unknown accounts are left out.

        Raises:
            RequestError: the text is empty, too long, or holds what text cannot.
        """
        if not 0 < len(text) <= MAX_TEXT_CHARACTERS or not all(map(storable, (text, link))):
            raise RequestError(f"a notification has 1 to {MAX_TEXT_CHARACTERS} characters of text")
        row = {"at": self._clock(), "kind": kind, "repo": repo, "text": text, "link": link}
        keys = sorted({key_of(owner) for owner in owners if storable(owner)})
        with self._database.write() as connection:
            known = select(accounts.c.key).where(accounts.c.key.in_(keys))
            told = 0
            for owner in connection.execute(known).scalars().all():
                if not _waits(connection, owner, row):
                    connection.execute(insert(notifications), {**row, "owner": owner})
                    _trim(connection, owner)
                    told += 1
        return told

    def of(
        self, owner: str, limit: int, *, before: int | None = None, unread: bool = False
    ) -> list[Notification]:
        """The newest of an account, at most `limit`, with a lower id than `before`."""
        query = (
            select(notifications, repos.c.type, repos.c.namespace, repos.c.name)
            .outerjoin(repos, repos.c.uid == notifications.c.repo)
            .where(notifications.c.owner == key_of(owner))
            .order_by(notifications.c.id.desc())
            .limit(limit)
        )
        if before is not None:
            query = query.where(notifications.c.id < before)
        if unread:
            query = query.where(notifications.c.read_at.is_(None))
        with self._database.read() as connection:
            return [_record(row) for row in connection.execute(query)]

    def count_unread(self, owner: str) -> int:
        """How many an account has not read."""
        query = (
            select(func.count())
            .select_from(notifications)
            .where(notifications.c.owner == key_of(owner), notifications.c.read_at.is_(None))
        )
        with self._database.read() as connection:
            return connection.execute(query).scalar_one()

    def mark_read(self, owner: str, up_to: int) -> int:
        """Note that an account has read all up to this id; how many it had not read before."""
        change = (
            update(notifications)
            .where(
                notifications.c.owner == key_of(owner),
                notifications.c.id <= up_to,
                notifications.c.read_at.is_(None),
            )
            .values(read_at=self._clock())
        )
        with self._database.write() as connection:
            return connection.execute(change).rowcount


def _waits(connection: Connection, owner: str, row: dict[str, Any]) -> bool:
    """Whether the same waits to be read."""
    same = {key: row[key] for key in ("kind", "repo", "text", "link")}
    query = select(notifications.c.id).filter_by(owner=owner, read_at=None, **same)
    return connection.execute(query.limit(1)).first() is not None


def _trim(connection: Connection, owner: str) -> None:
    last = (
        select(notifications.c.id)
        .where(notifications.c.owner == owner)
        .order_by(notifications.c.id.desc())
        .offset(MOST_KEPT)
        .limit(1)
    )
    oldest = connection.execute(last).scalar_one_or_none()
    if oldest is not None:
        old = (notifications.c.owner == owner) & (notifications.c.id <= oldest)
        connection.execute(delete(notifications).where(old))


def _record(row: Row[Any]) -> Notification:
    repo = None if row.type is None else RepoId(RepoType(row.type), row.namespace, row.name)
    return Notification(row.id, row.at, row.kind, row.text, row.link, repo, row.read_at)
