"""Findings that administrators let pass, with reasons: in audit trail and transparency log."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, insert, or_, update

from cairn.catalog import audit, log_waiting
from cairn.catalog.database import Database
from cairn.catalog.decided import Waiver
from cairn.catalog.decision_rows import numbered, with_repo
from cairn.catalog.records import RepoRecord
from cairn.catalog.schema import waivers
from cairn.domain import Actor, Digest, LogKind, RepoId, RepoType
from cairn.errors import ConflictError

_BATCH = 250


class Waivers:
    """Waivers by file and rule. They are added and revoked, never changed or removed."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def add(
        self,
        digest: Digest,
        rules: Iterable[str],
        repo: RepoRecord | None,
        reason: str,
        expires_at: datetime | None,
        by: Actor | None,
    ) -> list[Waiver]:
        """Let pass what these rules find in a file; `repo` None: in every repo.

        Raises:
            ConflictError: the findings of a rule are let pass there already.
        """
        with self._database.write() as connection:
            return [
                add_waiver(connection, self._clock(), (digest, rule), repo, reason, expires_at, by)
                for rule in rules
            ]

    def revoke(self, number: int, reason: str, by: Actor | None) -> Waiver:
        """Let findings count again.

        Raises:
            NotFoundError: there is no such waiver.
            ConflictError: it was revoked before.
        """
        now = self._clock()
        with self._database.write() as connection:
            waiver = _get(connection, number)
            if waiver.revoked_at is not None:
                raise ConflictError(f"waiver {number} was revoked by {waiver.revoked_by} before")
            values = {
                "revoked_at": now,
                "revoked_by": audit.name_of(by),
                "revoke_reason": reason,
            }
            connection.execute(update(waivers).where(waivers.c.id == number).values(values))
            _note(connection, now, by, LogKind.WAIVER_REVOKED, waiver, reason)
            return _get(connection, number)

    def get(self, number: int) -> Waiver:
        """The waiver of this number; NotFoundError if there is none."""
        with self._database.read() as connection:
            return _get(connection, number)

    def live(self, digests: Iterable[Digest], uid: str | None) -> dict[Digest, list[Waiver]]:
        """Those that hold for these files in a repo; with `uid` None: in every repo."""
        query = _query().where(_holds(self._clock()), _for_repo(uid)).order_by(waivers.c.id)
        wanted = list({digest.raw for digest in digests})
        found: dict[Digest, list[Waiver]] = {}
        with self._database.read() as connection:
            for start in range(0, len(wanted), _BATCH):
                named = waivers.c.digest.in_(wanted[start : start + _BATCH])
                for row in connection.execute(query.where(named)):
                    waiver = _waiver(row)
                    found.setdefault(waiver.digest, []).append(waiver)
        return found

    def of(self, digest: Digest, uid: str, limit: int) -> list[Waiver]:
        """All about a file in a repo, newest first, those that hold no more among them."""
        query = _query().where(waivers.c.digest == digest.raw, _for_repo(uid))
        return self._newest(query, limit)

    def newest(self, limit: int, *, before: int | None = None) -> list[Waiver]:
        """All of the hub, newest first, with a lower number than `before`."""
        query = _query()
        return self._newest(query if before is None else query.where(waivers.c.id < before), limit)

    def _newest(self, query: Select[Any], limit: int) -> list[Waiver]:
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(waivers.c.id.desc()).limit(limit)).all()
        return [_waiver(row) for row in rows]


def add_waiver(
    connection: Connection,
    now: datetime,
    what: tuple[Digest, str],
    repo: RepoRecord | None,
    reason: str,
    expires_at: datetime | None,
    by: Actor | None,
) -> Waiver:
    """Let pass what a rule finds in a file, in the caller's transaction.

    Raises:
        ConflictError: that is let pass there already.
    """
    digest, rule = what
    uid = None if repo is None else repo.uid
    same = (waivers.c.digest == digest.raw, waivers.c.rule == rule, waivers.c.repo == uid)
    if connection.execute(_query().where(*same, _holds(now))).first() is not None:
        raise ConflictError(f"what {rule} finds in {digest} is waived there already")
    row = {
        "digest": digest.raw,
        "rule": rule,
        "repo": uid,
        "reason": reason,
        "waived_by": audit.name_of(by),
        "waived_at": now,
        "expires_at": expires_at,
    }
    key = connection.execute(insert(waivers).values(row)).inserted_primary_key
    assert key is not None
    waiver = _get(connection, key[0])
    _note(connection, now, by, LogKind.WAIVED, waiver, reason)
    return waiver


def _note(
    connection: Connection,
    now: datetime,
    by: Actor | None,
    kind: LogKind,
    waiver: Waiver,
    reason: str,
) -> None:
    """Write it into the audit trail, and have it wait for the transparency log."""
    expires = "" if waiver.expires_at is None else waiver.expires_at.isoformat()
    facts = {
        "waiver": str(waiver.id),
        "digest": str(waiver.digest),
        "rule": waiver.rule,
        "reason": reason,
        "expires": expires,
    }
    detail = f"{waiver.id} {waiver.digest} {waiver.rule} {expires or 'for good'}: {reason}"
    audit.note(connection, now, by, kind.value, waiver.repo, detail)
    log_waiting.decided(connection, waiver.repo_uid, kind, facts, actor=audit.name_of(by), at=now)


def _holds(now: datetime) -> ColumnElement[bool]:
    ends = or_(waivers.c.expires_at.is_(None), waivers.c.expires_at > now)
    return waivers.c.revoked_at.is_(None) & ends


def _for_repo(uid: str | None) -> ColumnElement[bool]:
    everywhere = waivers.c.repo.is_(None)
    return everywhere if uid is None else or_(everywhere, waivers.c.repo == uid)


def _query() -> Select[Any]:
    return with_repo(waivers, if_any=True)


def _get(connection: Connection, number: int) -> Waiver:
    return _waiver(numbered(connection, _query(), waivers, number, "waiver"))


def _waiver(row: Row[Any]) -> Waiver:
    return Waiver(
        id=row.id,
        digest=Digest.sha256(row.digest.hex()),
        rule=row.rule,
        repo_uid=row.repo,
        repo=None if row.type is None else RepoId(RepoType(row.type), row.namespace, row.name),
        reason=row.reason,
        waived_by=row.waived_by,
        waived_at=row.waived_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        revoked_by=row.revoked_by,
        revoke_reason=row.revoke_reason,
    )
