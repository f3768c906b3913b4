"""What people attach to revisions: signed statements about them, kept as they were sent."""

import hashlib
import zlib
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import func, select

from cairn.catalog import audit, log_waiting
from cairn.catalog.database import Database, insert_if_new
from cairn.catalog.records import Attachment, RepoRecord
from cairn.catalog.schema import attachments
from cairn.domain import Actor, Digest
from cairn.errors import ConflictError

MAX_OF_REVISION = 32
"""Attachments of one revision: a page of a repo checks them all."""


class Attachments:
    """Statements by repo and commit. They are added and go with their repo; none is changed."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def add(self, repo: RepoRecord, commit: str, kind: str, content: bytes, by: Actor) -> bool:
        """Keep a statement about a revision; False if this very one is there already.

        Raises:
            ConflictError: the revision has as many as it may have.
        """
        digest = hashlib.sha256(content)
        now = self._clock()
        row = {
            "repo": repo.uid,
            "commit": commit,
            "digest": digest.digest(),
            "kind": kind,
            "content": zlib.compress(content),
            "sender": by.name,
            "received_at": now,
        }
        of_revision = (attachments.c.repo == repo.uid, attachments.c.commit == commit)
        count = select(func.count()).select_from(attachments).where(*of_revision)
        with self._database.write() as connection:
            is_new = insert_if_new(connection, attachments, row)
            if not is_new:
                return False
            if connection.execute(count).scalar_one() > MAX_OF_REVISION:
                raise ConflictError(f"a revision has at most {MAX_OF_REVISION} attachments")
            detail = f"{commit} {kind} {digest.hexdigest()}"
            audit.note(connection, now, by, "attachment.add", repo.id, detail)
            facts = {"commit": commit, "digest": f"sha256:{digest.hexdigest()}", "what": kind}
            log_waiting.attached(connection, repo.uid, facts, actor=by.name, at=now)
        return True

    def of(self, uid: str, commit: str) -> list[Attachment]:
        """The statements about a revision, oldest first."""
        query = (
            select(attachments)
            .where(attachments.c.repo == uid, attachments.c.commit == commit)
            .order_by(attachments.c.received_at, attachments.c.digest)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [
            Attachment(
                kind=row.kind,
                digest=Digest.sha256(row.digest.hex()),
                content=zlib.decompress(row.content),
                sender=row.sender,
                received_at=row.received_at,
            )
            for row in rows
        ]
