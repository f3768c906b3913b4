"""What was measured of the tensors in a blob: by content, so in whatever repos it lies."""

import zlib
from collections.abc import Iterable

from sqlalchemy import and_, delete, exists, insert, select

from cairn.catalog.database import Database
from cairn.catalog.schema import blob_health, repo_blobs
from cairn.domain import Blob, Digest

_BATCH = 500  # digests named in one query


class BlobHealth:
    """One text per blob and the version of its form; an older version counts as none."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(self, schema: int, limit: int) -> list[Blob]:
        """Blobs of repos that were not measured in this form yet, smallest first."""
        known = and_(blob_health.c.digest == repo_blobs.c.digest, blob_health.c.schema >= schema)
        query = (
            select(repo_blobs.c.digest, repo_blobs.c.size_bytes)
            .distinct()
            .outerjoin(blob_health, known)
            .where(blob_health.c.digest.is_(None))
            .order_by(repo_blobs.c.size_bytes, repo_blobs.c.digest)
            .limit(limit)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [Blob(Digest.sha256(row.digest.hex()), row.size_bytes) for row in rows]

    def put(self, digest: Digest, schema: int, content: str) -> None:
        """Keep what was measured, in place of what is there."""
        row = {
            "digest": digest.raw,
            "schema": schema,
            "content": zlib.compress(content.encode()),
        }
        with self._database.write() as connection:
            connection.execute(delete(blob_health).where(blob_health.c.digest == digest.raw))
            connection.execute(insert(blob_health).values(row))

    def get(self, digests: Iterable[Digest], schema: int) -> dict[Digest, str]:
        """What is known of these blobs in this form."""
        wanted = [digest.raw for digest in digests]
        found: dict[Digest, str] = {}
        with self._database.read() as connection:
            for start in range(0, len(wanted), _BATCH):
                query = select(blob_health.c.digest, blob_health.c.content).where(
                    blob_health.c.digest.in_(wanted[start : start + _BATCH]),
                    blob_health.c.schema == schema,
                )
                for row in connection.execute(query):
                    found[Digest.sha256(row.digest.hex())] = zlib.decompress(row.content).decode()
        return found

    def forget_unowned(self) -> int:
        """Drop what is known of blobs that no repo holds any more; returns of how many."""
        owned = exists().where(repo_blobs.c.digest == blob_health.c.digest)
        with self._database.write() as connection:
            return connection.execute(delete(blob_health).where(~owned)).rowcount
