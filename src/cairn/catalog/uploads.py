"""Which bytes a repo's writers have really sent: without that, knowing a digest proves nothing."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import delete, select, update

from cairn.catalog.database import Database, insert_if_new
from cairn.catalog.repo_rows import missing
from cairn.catalog.schema import repos, uploads
from cairn.domain import Blob, Digest


class Uploads:
    """Possession proofs, one per repo and blob; each also keeps its blob from gc."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def record(self, uid: str, blob: Blob) -> None:
        """Note that a writer of the repo sent these bytes; again restarts their time.

        Raises:
            RepoNotFoundError: there is no such repo.
        """
        now = self._clock()
        row = {
            "repo": uid,
            "digest": blob.digest.raw,
            "size_bytes": blob.size_bytes,
            "recorded_at": now,
        }
        where = (uploads.c.repo == uid) & (uploads.c.digest == blob.digest.raw)
        with self._database.write() as connection:
            # Shared lock: the repo cannot be deleted in between, other uploads go on.
            repo = select(repos.c.id).where(repos.c.uid == uid).with_for_update(key_share=True)
            if connection.execute(repo).first() is None:
                raise missing(uid)
            if not insert_if_new(connection, uploads, row):
                connection.execute(update(uploads).where(where).values(recorded_at=now))

    def get(self, uid: str, digest: Digest) -> Blob | None:
        """The blob, if a writer of this repo sent it and the proof has not expired."""
        query = select(uploads.c.size_bytes).where(
            uploads.c.repo == uid, uploads.c.digest == digest.raw
        )
        with self._database.read() as connection:
            size = connection.execute(query).scalar_one_or_none()
        return None if size is None else Blob(digest, size)

    def expire(self, before: datetime) -> int:
        """Forget the proofs recorded before this moment; how many those were."""
        with self._database.write() as connection:
            return connection.execute(
                delete(uploads).where(uploads.c.recorded_at < before)
            ).rowcount
