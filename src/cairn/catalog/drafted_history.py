"""A history on its way in, made again beside the catalog, so that nobody waits meanwhile.

To make a commit again takes some milliseconds, to copy its rows a tenth of that. The commits that
the catalog lacks are therefore made in a temporary SQLite file, with the same tables
and the same code; the catalog's transaction, in which other writers wait, only copies rows.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import Connection, Row, Table, create_engine, event, select

from cairn.catalog.commits import commit_query
from cairn.catalog.committing import write_commit
from cairn.catalog.database import Database, insert_all_new
from cairn.catalog.past_commits import PastCommit
from cairn.catalog.schema import commits, metadata, repo_blobs, trees, unscanned_names
from cairn.catalog.tree_edit import edit
from cairn.catalog.tree_store import TreeStore
from cairn.catalog.trees import PackedTree
from cairn.errors import ConflictError, EntryNotFoundError, IntegrityError, RequestError

_ROWS_AT_ONCE = 200  # with trees of 7.5 MB at the most, of a kilobyte as a rule
_UID = "draft"


class DraftedHistory:
    """The commits of one repo that the catalog lacks, with their trees and blobs; to be closed."""

    def __init__(self, database: Database, trees_here: TreeStore, uid: str | None) -> None:
        """`uid` is the repo they are for, None if it is not here."""
        self.uid = uid
        self._database = database
        self._trees_here = trees_here
        self._here = set(self._ids_here())  # some hundred bytes of memory for each
        self._outside: dict[str, Row[Any]] = {}  # parents that are here
        self._folder = TemporaryDirectory(prefix="cairn-history-")
        self._engine = create_engine(f"sqlite:///{Path(self._folder.name) / 'draft'}")
        event.listen(self._engine, "connect", _hurry)
        self._connection = self._engine.connect()
        metadata.create_all(self._connection, tables=[trees, commits, repo_blobs, unscanned_names])

    def _ids_here(self) -> list[str]:
        if self.uid is None:
            return []
        with self._database.read() as connection:
            query = select(commits.c.id).where(commits.c.repo == self.uid)
            return list(connection.execute(query).scalars())

    def add(self, past: PastCommit) -> None:
        """Make a commit again, unless it is here.

        Raises:
            IntegrityError: it does not come out with its id, or comes before its parent.
            LimitError: paths too deep, or too many directories or entries.
        """
        if past.id in self._here:
            return
        parent = self._parent(past)
        root = None if parent is None else parent.tree
        try:
            edited = edit(self._load, root, past.changes)
            made = write_commit(self._connection, _UID, past, parent, edited)
        except (EntryNotFoundError, ConflictError, RequestError) as error:
            raise IntegrityError(f"commit {past.id} cannot be made again: {error}") from None
        if made.id != past.id:
            raise IntegrityError(f"commit {past.id} comes out as {made.id}")

    def _parent(self, past: PastCommit) -> Row[Any] | None:
        if past.parent is None:
            return None
        found = _commit(self._connection, _UID, past.parent)
        if found is None and past.parent in self._here:
            found = self._outside.get(past.parent) or self._one_here(past.parent)
            self._outside[past.parent] = found
        if found is None:
            raise IntegrityError(f"commit {past.id} comes before its parent {past.parent}")
        return found

    def _one_here(self, commit: str) -> Row[Any]:
        assert self.uid is not None  # else no commit is here
        with self._database.read() as connection:
            return _checked(_commit(connection, self.uid, commit), commit)

    def _load(self, key: bytes) -> PackedTree:
        query = select(trees.c.payload).where(trees.c.key == key)
        payload = self._connection.execute(query).scalar_one_or_none()
        return self._trees_here.load(key) if payload is None else PackedTree(bytes(payload))

    def copy_to(self, connection: Connection, uid: str) -> int:
        """Add what is drafted to a repo of the catalog; how many commits were new.

        Raises:
            ConflictError: the repo is no longer the one that this was made for, or has a commit of
                one of these ids with other content.
        """
        if self.uid not in (None, uid):
            raise ConflictError("the repo was replaced while its history came in: import it again")
        for commit, row in self._outside.items():
            if _checked(_commit(connection, uid, commit), commit).tree != row.tree:
                raise _other_content(commit)
        for rows in self._rows(trees, trees.c.key):
            insert_all_new(connection, trees, rows)
        added = 0
        for rows in self._rows(commits, commits.c.generation, commits.c.id):
            new = _not_there(connection, uid, rows)
            insert_all_new(connection, commits, [row | {"repo": uid} for row in new])
            added += len(new)
        for rows in self._rows(repo_blobs, repo_blobs.c.digest):
            insert_all_new(connection, repo_blobs, [row | {"repo": uid} for row in rows])
        for rows in self._rows(unscanned_names, unscanned_names.c.digest, unscanned_names.c.name):
            insert_all_new(connection, unscanned_names, rows)
        return added

    def _rows(self, table: Table, *order: Any) -> Iterator[list[dict[str, Any]]]:
        found = self._connection.execute(select(table).order_by(*order)).mappings()
        for rows in found.partitions(_ROWS_AT_ONCE):
            yield [dict(row) for row in rows]

    def close(self) -> None:
        """Remove the temporary file."""
        self._connection.close()
        self._engine.dispose()
        self._folder.cleanup()


def _hurry(connection: Any, _record: object) -> None:
    """The file goes when the process does: nothing in it needs to last."""
    connection.execute("PRAGMA journal_mode=OFF")
    connection.execute("PRAGMA synchronous=OFF")


def _commit(connection: Connection, uid: str, commit: str) -> Row[Any] | None:
    query = commit_query().where(commits.c.repo == uid, commits.c.id == commit)
    return connection.execute(query).one_or_none()


def _checked(row: Row[Any] | None, commit: str) -> Row[Any]:
    if row is None:
        raise ConflictError(f"commit {commit} went while what follows it came in: import it again")
    return row


def _not_there(
    connection: Connection, uid: str, rows: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Those of the commits that the repo lacks: somebody may have made some meanwhile."""
    ids = [row["id"] for row in rows]
    query = select(commits.c.id, commits.c.tree).where(commits.c.repo == uid, commits.c.id.in_(ids))
    there = {row.id: row.tree for row in connection.execute(query)}
    for row in rows:
        if there.get(row["id"], row["tree"]) != row["tree"]:
            raise _other_content(row["id"])
    return [row for row in rows if row["id"] not in there]


def _other_content(commit: str) -> ConflictError:
    return ConflictError(
        f"commit {commit} is here with other content: import the repo under another namespace"
    )
