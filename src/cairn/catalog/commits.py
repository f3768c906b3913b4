"""How commits lie in rows, and reading them back: one, a line of them, what each changed.

History is followed by first parents, from a commit towards the first; `generation` counts
the commits on that line, so counting and skipping need no walk.
"""

import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from cairn.catalog.database import Database
from cairn.catalog.records import ChangeKind, FileChange
from cairn.catalog.schema import commits
from cairn.domain import Revision, is_commit_id
from cairn.errors import RevisionNotFoundError

_WALK_STEP = 200  # commits read at once while looking for who changed a path


def commit_query() -> Select[Any]:
    """Everything `revision_of` needs."""
    return select(
        commits.c.id,
        commits.c.tree,
        commits.c.parent,
        commits.c.generation,
        commits.c.author,
        commits.c.created_at,
        commits.c.title,
        commits.c.description,
    )


def revision_of(row: Row[Any]) -> Revision:
    """The noun for a row of `commit_query`."""
    return Revision(
        id=row.id,
        tree=row.tree.hex(),
        parents=() if row.parent is None else (row.parent,),
        title=row.title,
        description=row.description,
        author=row.author,
        created_at=row.created_at,
    )


def pack_changes(changes: Iterable[FileChange]) -> bytes:
    """Changed paths for a row: kind and path, NUL between, deflated."""
    return zlib.compress("\0".join(c.kind.value + c.path for c in changes).encode())


def unpack_changes(packed: bytes) -> list[FileChange]:
    """The inverse of `pack_changes`."""
    text = zlib.decompress(packed).decode()
    return [FileChange(part[1:], ChangeKind(part[0])) for part in text.split("\0") if part]


class Log:
    """Lines of commits."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def count(self, uid: str, commit: str) -> int:
        """Commits from the first one to `commit`; RevisionNotFoundError if the repo lacks it."""
        with self._database.read() as connection:
            return _generation(connection, uid, commit)

    def log(self, uid: str, commit: str, limit: int, offset: int) -> list[Revision]:
        """Up to `limit` commits from `commit` back, newest first, the first `offset` left out.

        Raises:
            RevisionNotFoundError: the repo has no such commit.
        """
        with self._database.read() as connection:
            top = _generation(connection, uid, commit) - offset
            query = _line(uid, commit, top, top - limit)
            return [revision_of(row) for row in connection.execute(query)]

    def changes(self, uid: str, commit: str) -> list[FileChange]:
        """The files a commit changed against its parent, by path.

        Raises:
            RevisionNotFoundError: the repo has no such commit.
        """
        query = select(commits.c.changed).where(commits.c.repo == uid, commits.c.id == commit)
        with self._database.read() as connection:
            packed = connection.execute(query).scalar_one_or_none()
        if packed is None:
            raise _unknown(commit)
        return unpack_changes(packed)

    def last_changes(self, uid: str, commit: str, paths: Iterable[str]) -> dict[str, Revision]:
        """For each path, the newest commit up to `commit` that changed it or a file below it.

        Paths no commit ever touched are left out.

        Raises:
            RevisionNotFoundError: the repo has no such commit.
        """
        wanted = set(paths)
        found: dict[str, Revision] = {}
        for row in self._walk(uid, commit):
            if not wanted:
                break
            for path in _touched(unpack_changes(row.changed)):
                if path in wanted:
                    wanted.discard(path)
                    found[path] = revision_of(row)
        return found

    def _walk(self, uid: str, commit: str) -> Iterator[Row[Any]]:
        """Rows of the line from `commit` back, with what they changed."""
        with self._database.read() as connection:
            top = _generation(connection, uid, commit)
            start: str | None = commit
            while start is not None:
                query = _line(uid, start, top, top - _WALK_STEP).add_columns(commits.c.changed)
                rows = connection.execute(query).all()
                yield from rows
                top -= _WALK_STEP
                start = rows[-1].parent


def _touched(changes: Iterable[FileChange]) -> Iterator[str]:
    """Each changed path and, once each, the directories above."""
    seen: set[str] = set()
    for change in changes:
        path = change.path
        while path and path not in seen:
            seen.add(path)
            yield path
            path = path.rpartition("/")[0]


def _line(uid: str, start: str, top: int, bottom: int) -> Select[Any]:
    """Commits of the line through `start` with bottom < generation <= top, newest first."""
    first = select(commits.c.id, commits.c.parent, commits.c.generation).where(
        commits.c.repo == uid, commits.c.id == start
    )
    line = first.cte("line", recursive=True)
    older = select(commits.c.id, commits.c.parent, commits.c.generation).where(
        commits.c.repo == uid, commits.c.id == line.c.parent, commits.c.generation > bottom
    )
    line = line.union_all(older)
    return (
        commit_query()
        .join(line, line.c.id == commits.c.id)
        .where(commits.c.repo == uid, line.c.generation <= top, line.c.generation > bottom)
        .order_by(line.c.generation.desc())
    )


def is_ancestor(connection: Connection, uid: str, older: str, newer: str) -> bool:
    """Whether one commit of a repo is on the line of another, or the same."""
    height = _generation(connection, uid, older)
    row = connection.execute(_line(uid, newer, height, height - 1)).one_or_none()
    return row is not None and bool(row.id == older)


def _generation(connection: Connection, uid: str, commit: str) -> int:
    query = select(commits.c.generation).where(commits.c.repo == uid, commits.c.id == commit)
    found = connection.execute(query).scalar_one_or_none() if is_commit_id(commit) else None
    if found is None:
        raise _unknown(commit)
    return int(found)


def _unknown(commit: str) -> RevisionNotFoundError:
    return RevisionNotFoundError(f"this repo has no commit {commit[:80]!r}")
