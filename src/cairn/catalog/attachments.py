"""What people attach to revisions: signed statements about them, kept as they were sent."""

import hashlib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
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

_IMPORTED = "elsewhere/"
"""Before the name of a sender of another hub; no account has a slash in its name."""


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
        digest = Digest.sha256(hashlib.sha256(content).hexdigest())
        kept = Attachment(kind, digest, content, by.name, self._clock())
        return self._put(repo, commit, kept, "attachment.add", by)

    def take(self, repo: RepoRecord, commit: str, kept: Attachment) -> bool:
        """Keep a statement that came with its repo from elsewhere, as `add` does one of today.

        Raises:
            ConflictError: the revision has as many as it may have.
        """
        imported = replace(kept, imported=True)
        return self._put(repo, commit, imported, "attachment.import", None)

    def _put(
        self, repo: RepoRecord, commit: str, kept: Attachment, action: str, by: Actor | None
    ) -> bool:
        row = {
            "repo": repo.uid,
            "commit": commit,
            "digest": kept.digest.raw,
            "kind": kept.kind,
            "content": zlib.compress(kept.content),
            "sender": f"{_IMPORTED if kept.imported else ''}{kept.sender}",
            "received_at": kept.received_at,
        }
        now = self._clock()
        of_revision = (attachments.c.repo == repo.uid, attachments.c.commit == commit)
        count = select(func.count()).select_from(attachments).where(*of_revision)
        with self._database.write() as connection:
            is_new = insert_if_new(connection, attachments, row)
            if not is_new:
                return False
            if connection.execute(count).scalar_one() > MAX_OF_REVISION:
                raise ConflictError(f"a revision has at most {MAX_OF_REVISION} attachments")
            detail = f"{commit} {kept.kind} {kept.digest.hex}"
            audit.note(connection, now, by, action, repo.id, detail)
            facts = {"commit": commit, "digest": str(kept.digest), "what": kept.kind}
            log_waiting.attached(connection, repo.uid, facts, actor=audit.name_of(by), at=now)
        return True

    def all_of(self, uid: str) -> Iterator[tuple[str, Attachment]]:
        """The statements about all revisions of a repo, each with its commit."""
        query = select(attachments.c.commit).distinct().where(attachments.c.repo == uid)
        with self._database.read() as connection:
            commits = list(connection.execute(query.order_by(attachments.c.commit)).scalars())
        for commit in commits:
            for kept in self.of(uid, commit):
                yield commit, kept

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
                sender=row.sender.removeprefix(_IMPORTED),
                received_at=row.received_at,
                imported=row.sender.startswith(_IMPORTED),
            )
            for row in rows
        ]
