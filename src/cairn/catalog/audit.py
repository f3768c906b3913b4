"""Who did what, when: rows written with the change they record, never changed afterwards."""

from datetime import datetime

from sqlalchemy import Connection, insert, or_, select

from cairn.catalog.database import Database
from cairn.catalog.records import AuditRecord
from cairn.catalog.schema import audit
from cairn.domain import Actor, RepoId

SYSTEM = "system"


def name_of(by: Actor | None) -> str:
    """What an actor is called in rows that record an action; None is the hub itself."""
    return by.name if by else SYSTEM


def note(
    connection: Connection,
    at: datetime,
    by: Actor | None,
    action: str,
    repo: RepoId | str | None = None,
    detail: str = "",
) -> None:
    """Record an action in the caller's transaction; `by` None is the hub itself."""
    row = {
        "at": at,
        "actor": name_of(by),
        "action": action,
        "repo": None if repo is None else str(repo),
        "detail": detail,
    }
    connection.execute(insert(audit), row)


class Audit:
    """The audit trail."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(
        self,
        at: datetime,
        by: Actor | None,
        action: str,
        *,
        repo: RepoId | None = None,
        detail: str = "",
    ) -> None:
        """Add an action that changed nothing in the catalog itself."""
        with self._database.write() as connection:
            note(connection, at, by, action, repo, detail)

    def search(
        self,
        *,
        actor: str | None = None,
        action: str | None = None,
        repo: str | None = None,
        since: datetime | None = None,
        limit: int = 100,
    ) -> list[AuditRecord]:
        """The last `limit` actions that fit, newest first.

        `action` is one (`token.create`) or the first word of several (`token`); `repo` is as
        `RepoId` is written.
        """
        query = select(audit).order_by(audit.c.id.desc()).limit(limit)
        if actor is not None:
            query = query.where(audit.c.actor == actor)
        if action is not None:
            several = audit.c.action.startswith(f"{action}.", autoescape=True)
            query = query.where(or_(audit.c.action == action, several))
        if repo is not None:
            query = query.where(audit.c.repo == repo)
        if since is not None:
            query = query.where(audit.c.at >= since)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [AuditRecord(r.at, r.actor, r.action, r.repo, r.detail) for r in rows]

    def recent(self, limit: int = 100) -> list[AuditRecord]:
        """The last `limit` actions, newest first."""
        return self.search(limit=limit)
