"""What waits to be put into the transparency log: written with the change it tells of.

The row is in the transaction that moves the ref, so nothing acknowledged is missing and nothing
undone is there. Events of one repo wait in the order they happened in, because each holds the
repo's lock; between repos the order is that of the log, which `Logbook.append` fixes.
"""

import json
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, and_, insert, select

from cairn.catalog.schema import commits, log_waiting, repos
from cairn.domain import LogEvent, LogKind, RepoId, RepoType


def ref_moved(
    connection: Connection,
    uid: str,
    ref: str,
    old: str | None,
    new: str | None,
    *,
    actor: str,
    at: datetime,
    kind: LogKind = LogKind.REF,
) -> None:
    """Note that a ref of a repo was moved, made (`old` None) or removed (`new` None)."""
    query = (
        select(repos.c.type, repos.c.namespace, repos.c.name, repos.c.private, commits.c.tree)
        .select_from(repos)
        .outerjoin(commits, and_(commits.c.repo == repos.c.uid, commits.c.id == new))
        .where(repos.c.uid == uid)
    )
    row = connection.execute(query).one()
    repo = RepoId(RepoType(row.type), row.namespace, row.name)
    event = LogEvent(kind, repo, actor, at, ref, old, new)
    note(connection, uid, event, private=row.private, tree=row.tree)


def attached(
    connection: Connection,
    uid: str,
    details: Mapping[str, str],
    *,
    actor: str,
    at: datetime,
) -> None:
    """Note that a statement was attached to a revision of a repo."""
    query = select(repos.c.type, repos.c.namespace, repos.c.name, repos.c.private)
    row = connection.execute(query.where(repos.c.uid == uid)).one()
    repo = RepoId(RepoType(row.type), row.namespace, row.name)
    event = LogEvent(LogKind.ATTACHED, repo, actor, at, details=details)
    note(connection, uid, event, private=row.private)


def decided(
    connection: Connection,
    uid: str | None,
    kind: LogKind,
    details: Mapping[str, str],
    *,
    actor: str,
    at: datetime,
) -> None:
    """Note what was decided about files in a repo, or in every one.

    Of a repo that is gone by now nothing is logged: nobody is given its files any more.
    """
    if uid is None:
        note(connection, "", LogEvent(kind, None, actor, at, details=details), private=False)
        return
    query = select(repos.c.type, repos.c.namespace, repos.c.name, repos.c.private)
    row = connection.execute(query.where(repos.c.uid == uid)).one_or_none()
    if row is not None:
        repo = RepoId(RepoType(row.type), row.namespace, row.name)
        event = LogEvent(kind, repo, actor, at, details=details)
        note(connection, uid, event, private=row.private)


def note(
    connection: Connection,
    uid: str,
    event: LogEvent,
    *,
    private: bool,
    tree: bytes | None = None,
) -> None:
    """Let an event wait. `tree` is the root of what commit `new` holds.

    `uid` and the names are empty for an event of no repo.
    """
    repo = event.repo
    row = {
        "repo": uid,
        "private": private,
        "tree": tree,
        "kind": event.kind.value,
        "type": repo.type.value if repo else "",
        "namespace": repo.namespace if repo else "",
        "name": repo.name if repo else "",
        "actor": event.actor,
        "at": event.at,
        "ref": event.ref,
        "old": event.old,
        "new": event.new,
        "details": _dump(event.details),
    }
    connection.execute(insert(log_waiting), row)


def _dump(details: Mapping[str, str]) -> str:
    return json.dumps(dict(details), separators=(",", ":"))
