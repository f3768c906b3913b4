"""Commits as another hub can make them again: what each adds to its parent, and its id."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select

from cairn.catalog.changes import Change, DeleteFile, PutFile
from cairn.catalog.commits import commit_query, unpack_changes
from cairn.catalog.committing import NewCommit
from cairn.catalog.database import Database
from cairn.catalog.records import ChangeKind
from cairn.catalog.schema import commits
from cairn.catalog.tree_store import TreeStore
from cairn.domain import Entry, is_commit_id
from cairn.errors import IntegrityError, RequestError

_COMMITS_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class PastCommit(NewCommit):
    """A commit that was made, on top of `parent`, and has an id.

    Raises:
        RequestError: an id has the wrong form.
    """

    id: str
    parent: str | None

    def __post_init__(self) -> None:
        NewCommit.__post_init__(self)
        if not all(map(is_commit_id, (self.id, self.parent or self.id))):
            raise RequestError(f"{self.id[:80]!r} on {self.parent!r:.80} are not commit ids")


class PastCommits:
    """The commits of repos, to be read and carried elsewhere."""

    def __init__(self, database: Database, trees: TreeStore) -> None:
        self._database = database
        self._trees = trees

    def of(self, uid: str) -> Iterator[PastCommit]:
        """Every commit that a repo has now, each behind its parent."""
        order = select(commits.c.id).where(commits.c.repo == uid)
        order = order.order_by(commits.c.generation, commits.c.id)
        with self._database.read() as connection:  # at one moment: no child without its parent
            ids = connection.execute(order).scalars().all()
        for start in range(0, len(ids), _COMMITS_AT_ONCE):
            few = ids[start : start + _COMMITS_AT_ONCE]
            query = commit_query().add_columns(commits.c.identity, commits.c.changed)
            query = query.where(commits.c.repo == uid, commits.c.id.in_(few))
            with self._database.read() as connection:
                rows = {row.id: row for row in connection.execute(query)}
            for commit in few:
                yield self._commit(rows[commit])

    def _commit(self, row: Row[Any]) -> PastCommit:
        return PastCommit(
            changes=tuple(self._changes(row)),
            author=row.author,
            identity=row.identity,
            title=row.title,
            description=row.description,
            when=row.created_at,
            id=row.id,
            parent=row.parent,
        )

    def _changes(self, row: Row[Any]) -> Iterator[Change]:
        """Deletions first: a file may stand where a folder was, and the other way round."""
        changed = unpack_changes(row.changed)
        for change in changed:
            if change.kind is ChangeKind.DELETED:
                yield DeleteFile(change.path)
        for change in changed:
            if change.kind is not ChangeKind.DELETED:
                entry = self._trees.entry(row.tree.hex(), change.path)
                if not isinstance(entry, Entry):
                    raise IntegrityError(
                        f"commit {row.id} says that the folder {change.path} is a file"
                    )
                size = entry.pointer_size_bytes
                yield PutFile(entry.path, entry.blob, entry.oid, entry.lfs, size)
