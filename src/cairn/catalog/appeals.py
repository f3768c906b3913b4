"""What owners say against verdicts on their files, and what administrators answer."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, func, insert, select, update

from cairn.catalog import audit
from cairn.catalog.database import Database
from cairn.catalog.decided import Appeal
from cairn.catalog.decision_rows import numbered, with_repo
from cairn.catalog.records import RepoRecord
from cairn.catalog.schema import appeals
from cairn.catalog.waivers import add_waiver
from cairn.domain import Actor, Blob, Digest, RepoId, RepoType
from cairn.errors import ConflictError

MOST_OPEN = 20
"""Open appeals of one repo."""

MOST_OF_A_FILE = 3
"""Appeals about one file in one repo, answered ones among them."""

UPHELD = "upheld"
WAIVED = "waived"


class Appeals:
    """Appeals by repo. They are made and answered once, and go with their repo."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def add(self, repo: RepoRecord, path: str, blob: Blob, text: str, by: Actor) -> Appeal:
        """Say something against the verdict on a file of a repo.

        Raises:
            ConflictError: an appeal about it is open, or there were as many as there may be.
        """
        now = self._clock()
        row = {
            "repo": repo.uid,
            "digest": blob.digest.raw,
            "size_bytes": blob.size_bytes,
            "path": path,
            "text": text,
            "made_by": by.name,
            "made_at": now,
        }
        with self._database.write() as connection:
            _check_room(connection, repo.uid, blob.digest)
            key = connection.execute(insert(appeals).values(row)).inserted_primary_key
            assert key is not None
            detail = f"{key[0]} {blob.digest} {path}: {text}"
            audit.note(connection, now, by, "appeal.add", repo.id, detail)
            return _get(connection, key[0])

    def uphold(self, number: int, reason: str, by: Actor | None) -> Appeal:
        """Answer that the verdict stands.

        Raises:
            NotFoundError: there is no such appeal.
            ConflictError: it was answered before.
        """
        with self._database.write() as connection:
            return self._answer(connection, number, UPHELD, reason, by)

    def waive(
        self,
        number: int,
        rules: Iterable[str],
        repo: RepoRecord,
        reason: str,
        expires_at: datetime | None,
        by: Actor | None,
    ) -> Appeal:
        """Answer that what these rules find in the file is let pass in its repo from now on.

        Raises:
            NotFoundError, ConflictError: as for `uphold`.
        """
        with self._database.write() as connection:
            answered = self._answer(connection, number, WAIVED, reason, by)
            for rule in rules:
                what = (answered.blob.digest, rule)
                add_waiver(connection, self._clock(), what, repo, reason, expires_at, by)
            return answered

    def get(self, number: int) -> Appeal:
        """The appeal of this number; NotFoundError if there is none."""
        with self._database.read() as connection:
            return _get(connection, number)

    def of(self, uid: str, digest: Digest | None = None) -> list[Appeal]:
        """Those of a repo, or about one file of it, newest first."""
        query = with_repo(appeals).where(appeals.c.repo == uid)
        if digest is not None:
            query = query.where(appeals.c.digest == digest.raw)
        return self._listed(query.order_by(appeals.c.id.desc()).limit(100))

    def open(self, limit: int, offset: int = 0) -> list[Appeal]:
        """Those that wait for an answer, oldest first."""
        query = with_repo(appeals).where(appeals.c.answer.is_(None)).order_by(appeals.c.id)
        return self._listed(query.limit(limit).offset(offset))

    def answered(self, limit: int, offset: int = 0) -> list[Appeal]:
        """Those that were answered, newest first."""
        query = (
            with_repo(appeals).where(appeals.c.answer.is_not(None)).order_by(appeals.c.id.desc())
        )
        return self._listed(query.limit(limit).offset(offset))

    def count_open(self) -> int:
        """How many wait for an answer."""
        query = select(func.count()).select_from(appeals).where(appeals.c.answer.is_(None))
        with self._database.read() as connection:
            return connection.execute(query).scalar_one()

    def count_answered(self) -> int:
        """How many were answered."""
        query = select(func.count()).select_from(appeals).where(appeals.c.answer.is_not(None))
        with self._database.read() as connection:
            return connection.execute(query).scalar_one()

    def has_room(self, uid: str, digest: Digest) -> bool:
        """Whether an appeal about a file may be made now."""
        with self._database.read() as connection:
            try:
                _check_room(connection, uid, digest)
            except ConflictError:
                return False
        return True

    def _answer(
        self, connection: Connection, number: int, answer: str, reason: str, by: Actor | None
    ) -> Appeal:
        now = self._clock()
        appeal = _get(connection, number)
        values = {
            "answer": answer,
            "reason": reason,
            "answered_by": audit.name_of(by),
            "answered_at": now,
        }
        still = (appeals.c.id == number) & appeals.c.answer.is_(None)
        if not connection.execute(update(appeals).where(still).values(values)).rowcount:
            raise ConflictError(f"appeal {number} was answered by {appeal.answered_by} before")
        detail = f"{number} {answer} {appeal.blob.digest}: {reason}"
        audit.note(connection, now, by, "appeal.answer", appeal.repo, detail)
        return _get(connection, number)

    def _listed(self, query: Select[Any]) -> list[Appeal]:
        with self._database.read() as connection:
            return [_appeal(row) for row in connection.execute(query)]


def _check_room(connection: Connection, uid: str, digest: Digest) -> None:
    of_repo = select(func.count()).select_from(appeals).where(appeals.c.repo == uid)
    of_file = of_repo.where(appeals.c.digest == digest.raw)
    is_open = appeals.c.answer.is_(None)
    if connection.execute(of_file.where(is_open)).scalar_one():
        raise ConflictError("an appeal about this file waits for its answer already")
    if connection.execute(of_file).scalar_one() >= MOST_OF_A_FILE:
        raise ConflictError(f"there were {MOST_OF_A_FILE} appeals about this file; that is all")
    if connection.execute(of_repo.where(is_open)).scalar_one() >= MOST_OPEN:
        raise ConflictError(f"{MOST_OPEN} appeals of this repo wait for an answer; wait for them")


def _get(connection: Connection, number: int) -> Appeal:
    return _appeal(numbered(connection, with_repo(appeals), appeals, number, "appeal"))


def _appeal(row: Row[Any]) -> Appeal:
    return Appeal(
        id=row.id,
        repo_uid=row.repo,
        repo=RepoId(RepoType(row.type), row.namespace, row.name),
        blob=Blob(Digest.sha256(row.digest.hex()), row.size_bytes),
        path=row.path,
        text=row.text,
        made_by=row.made_by,
        made_at=row.made_at,
        answer=row.answer,
        reason=row.reason,
        answered_by=row.answered_by,
        answered_at=row.answered_at,
    )
