"""Which chunks Xet clients cut blobs into: what need not be sent by whoever may read the blob.

The list of a blob is kept in runs, each named as the xorb that its chunks would be. Some of
the chunks are its keys, by which clients ask. What somebody may not read is as unknown to
them as what was never seen.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam, delete, exists, func, insert, or_, select, update

from cairn.catalog.database import Database, insert_if_new
from cairn.catalog.records import ChunkKey, ChunkRun
from cairn.catalog.schema import (
    chunk_keys,
    chunk_lists,
    chunk_runs,
    repo_blobs,
    repos,
    uploads,
)
from cairn.catalog.visibility import openable_by
from cairn.domain import Actor, Digest

# Of a chunk that begins a thousand files, the newest ones are looked at.
_KEYS_LOOKED_AT = 100


class ChunkLists:
    """One list per blob, forgotten with it; the ones unused for longest go when there are many."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def record(self, digest: Digest, runs: Sequence[ChunkRun], keys: Iterable[ChunkKey]) -> None:
        """Keep the list of a blob: all its runs, in order; nothing changes if it has one."""
        now = self._clock()
        chunks = sum(run.chunks for run in runs)
        with self._database.write() as connection:
            row = {"digest": digest.raw, "chunks": chunks, "used_at": now}
            if not insert_if_new(connection, chunk_lists, row):
                return
            connection.execute(insert(chunk_runs), [_run_row(digest, run) for run in runs])
            for key in sorted(set(keys), key=lambda key: key.first_byte):
                row = {
                    "chunk": key.chunk,
                    "digest": digest.raw,
                    "first_byte": key.first_byte,
                    "recorded_at": now,
                }
                insert_if_new(connection, chunk_keys, row)

    def with_key(self, chunk: bytes, reader: Actor, limit: int) -> list[tuple[Digest, int]]:
        """Blobs `reader` may read that have this key, newest first, and where its run begins."""
        newest = (
            select(chunk_keys)
            .where(chunk_keys.c.chunk == chunk)
            .order_by(chunk_keys.c.recorded_at.desc(), chunk_keys.c.digest)
            .limit(_KEYS_LOOKED_AT)
            .subquery()
        )
        query = (
            select(newest.c.digest, newest.c.first_byte)
            .where(_readable(newest.c.digest, reader))
            .order_by(newest.c.recorded_at.desc(), newest.c.digest)
            .limit(limit)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [(Digest.sha256(row.digest.hex()), row.first_byte) for row in rows]

    def of_repos(self, uids: Sequence[str], limit: int) -> list[Digest]:
        """Blobs with a list that revisions of these repos hold, those of use lately first."""
        query = (
            select(chunk_lists.c.digest)
            .distinct()
            .add_columns(chunk_lists.c.used_at)
            .join(repo_blobs, repo_blobs.c.digest == chunk_lists.c.digest)
            .where(repo_blobs.c.repo.in_(uids))
            .order_by(chunk_lists.c.used_at.desc(), chunk_lists.c.digest)
            .limit(limit)
        )
        with self._database.read() as connection:
            return [Digest.sha256(row.digest.hex()) for row in connection.execute(query)]

    def runs(self, digest: Digest, first_byte: int, limit: int) -> list[ChunkRun]:
        """Up to `limit` runs of a blob: from `first_byte` to its end, then those before."""
        query = (
            select(chunk_runs)
            .where(chunk_runs.c.digest == digest.raw)
            .order_by(chunk_runs.c.first_byte < first_byte, chunk_runs.c.first_byte)
            .limit(limit)
        )
        with self._database.read() as connection:
            return [_run_of(row) for row in connection.execute(query)]

    def run(self, xorb: bytes, reader: Actor) -> ChunkRun | None:
        """The run of this name, of a blob that `reader` may read."""
        query = (
            select(chunk_runs)
            .where(chunk_runs.c.xorb == xorb, _readable(chunk_runs.c.digest, reader))
            .limit(1)
        )
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _run_of(row)

    def note_use(self, digests: Iterable[Digest]) -> None:
        """Keep the lists of these blobs for longer."""
        rows = [{"wanted": digest.raw} for digest in sorted(digests, key=lambda d: d.hex)]
        used = update(chunk_lists).where(chunk_lists.c.digest == bindparam("wanted"))
        with self._database.write() as connection:
            connection.execute(used.values(used_at=self._clock()), rows)

    def forget(self, digest: Digest) -> None:
        """Drop the list of a blob, if there is one."""
        with self._database.write() as connection:
            connection.execute(delete(chunk_lists).where(chunk_lists.c.digest == digest.raw))

    def forget_unowned(self) -> int:
        """Drop the lists of blobs that no repo holds or was just sent; returns how many."""
        owned = (
            exists().where(table.c.digest == chunk_lists.c.digest)
            for table in (repo_blobs, uploads)
        )
        with self._database.write() as connection:
            return connection.execute(delete(chunk_lists).where(~or_(*owned))).rowcount

    def trim(self, max_chunks: int) -> int:
        """Drop the lists unused for longest until `max_chunks` are left; returns how many went."""
        newest_first = (chunk_lists.c.used_at.desc(), chunk_lists.c.digest)
        running = func.sum(chunk_lists.c.chunks).over(order_by=newest_first)
        sums = select(chunk_lists.c.digest, running.label("chunks")).subquery()
        beyond = select(sums.c.digest).where(sums.c.chunks > max_chunks)
        with self._database.write() as connection:
            statement = delete(chunk_lists).where(chunk_lists.c.digest.in_(beyond))
            return connection.execute(statement).rowcount


def _readable(digest: ColumnElement[bytes], reader: Actor) -> ColumnElement[bool]:
    """Whether a revision of a repo whose files `reader` may have holds the blob."""
    return exists().where(
        repo_blobs.c.digest == digest, repos.c.uid == repo_blobs.c.repo, openable_by(reader)
    )


def _run_row(digest: Digest, run: ChunkRun) -> dict[str, object]:
    return {
        "digest": digest.raw,
        "first_byte": run.first_byte,
        "xorb": run.xorb,
        "names": run.names,
        "sizes": run.sizes,
    }


def _run_of(row: Any) -> ChunkRun:
    digest = Digest.sha256(row.digest.hex())
    return ChunkRun(digest, row.first_byte, row.xorb, row.names, row.sizes)
