"""Which names a repo's commits go by, and which commit a revision text means."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, or_, select

from cairn.catalog import audit, log_waiting
from cairn.catalog.commits import commit_query, revision_of
from cairn.catalog.database import Database, storable
from cairn.catalog.repo_rows import missing
from cairn.catalog.schema import commits, refs, repos
from cairn.domain import Actor, Ref, RepoId, RepoType, Revision, check_ref_name
from cairn.errors import ConflictError, ForbiddenError, NamingError, RevisionNotFoundError

_PREFIX = re.compile(r"[0-9a-f]{7,40}\Z")
_PULL_REQUEST = re.compile(r"refs/pr/[1-9][0-9]{0,9}\Z")
_COMMIT_LENGTH = 40
_KINDS = ("refs/heads/", "refs/tags/")


def check_full_name(name: str) -> str:
    """Return a full ref name, `refs/heads/...`, `refs/tags/...` or `refs/pr/<number>`.

    Raises:
        NamingError: it is none of these, or git would not accept it.
    """
    if _PULL_REQUEST.match(name):
        return name
    for kind in _KINDS:
        if name.startswith(kind):
            check_ref_name(name.removeprefix(kind))
            return name
    raise NamingError(f"{name[:120]!r} is not refs/heads/..., refs/tags/... or refs/pr/<number>")


class Refs:
    """The refs of all repos."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def list(self, uid: str) -> "list[Ref]":
        """Every ref of a repo, by name; empty for an unknown repo."""
        query = select(refs.c.name, refs.c.commit).where(refs.c.repo == uid)
        with self._database.read() as connection:
            return sorted(
                (Ref(name, commit) for name, commit in connection.execute(query)),
                key=lambda ref: ref.name,
            )

    def get(self, uid: str, name: str) -> Ref:
        """The ref of this full name.

        Raises:
            RevisionNotFoundError: there is none.
        """
        query = select(refs.c.commit).where(refs.c.repo == uid, refs.c.name == name)
        if storable(name):
            with self._database.read() as connection:
                commit = connection.execute(query).scalar_one_or_none()
            if commit is not None:
                return Ref(name, commit)
        raise RevisionNotFoundError(f"there is no ref {name[:200]!r}")

    def resolve(self, uid: str, revision: str) -> Revision:
        """The commit that a revision text means: branch, tag, full ref, commit id, or `HEAD`.

        A commit id may be cut to seven or more digits if no other commit begins so. A branch
        wins over a tag of the same name, and both over an abbreviated id.

        Raises:
            RevisionNotFoundError: it means none, or more than one.
        """
        if storable(revision):
            with self._database.read() as connection:
                found = self._by_name(connection, uid, revision)
                found = found or self._by_id(connection, uid, revision)
            if found is not None:
                return found
        raise RevisionNotFoundError(f"there is no branch, tag or commit {revision[:200]!r}")

    def create(self, uid: str, name: str, commit: str, by: Actor | None) -> Ref:
        """Add a ref to a commit of the repo.

        Raises:
            NamingError: the full name is not valid.
            RepoNotFoundError: there is no such repo.
            RevisionNotFoundError: the repo has no such commit.
            ConflictError: the ref exists, or one is above or below it as a folder would be.
        """
        check_full_name(name)
        with self._database.write() as connection:
            repo_row(connection, uid, lock=True)
            known = select(commits.c.id).where(commits.c.repo == uid, commits.c.id == commit)
            if connection.execute(known).first() is None:
                raise RevisionNotFoundError(f"this repo has no commit {commit[:80]!r}")
            refuse_clash(connection, uid, name)
            connection.execute(insert(refs), {"repo": uid, "name": name, "commit": commit})
            self._log(connection, uid, name, None, commit, by)
        return Ref(name, commit)

    def delete(self, uid: str, name: str, by: Actor | None) -> None:
        """Remove a ref; its commits stay reachable by id.

        Raises:
            RepoNotFoundError, RevisionNotFoundError: there is none.
            ForbiddenError: it is the default branch.
        """
        with self._database.write() as connection:
            repo = repo_row(connection, uid, lock=True)
            if name == f"refs/heads/{repo.default_branch}":
                raise ForbiddenError(f"{name} is the default branch and cannot be deleted")
            found = select(refs.c.commit).where(refs.c.repo == uid, refs.c.name == name)
            commit = connection.execute(found).scalar_one_or_none() if storable(name) else None
            if commit is None:
                raise RevisionNotFoundError(f"there is no ref {name[:200]!r}")
            repo_id = RepoId(RepoType(repo.type), repo.namespace, repo.name)
            connection.execute(delete(refs).where(refs.c.repo == uid, refs.c.name == name))
            audit.note(connection, self._clock(), by, "ref.delete", repo_id, f"{name} {commit}")
            self._log(connection, uid, name, commit, None, by)

    def _log(
        self,
        connection: Connection,
        uid: str,
        name: str,
        old: str | None,
        new: str | None,
        by: Actor | None,
    ) -> None:
        actor, at = audit.name_of(by), self._clock()
        log_waiting.ref_moved(connection, uid, name, old, new, actor=actor, at=at)

    def _by_name(self, connection: Connection, uid: str, revision: str) -> Revision | None:
        names = [revision, *(kind + revision for kind in _KINDS)]
        if revision == "HEAD":
            query = select(repos.c.default_branch).where(repos.c.uid == uid)
            names = [f"refs/heads/{connection.execute(query).scalar_one_or_none()}"]
        query = (
            commit_query()
            .add_columns(refs.c.name.label("ref"))
            .join(refs, (refs.c.repo == commits.c.repo) & (refs.c.commit == commits.c.id))
            .where(refs.c.repo == uid, refs.c.name.in_(names))
        )
        rows = {row.ref: row for row in connection.execute(query)}
        return next((revision_of(rows[name]) for name in names if name in rows), None)

    def _by_id(self, connection: Connection, uid: str, revision: str) -> Revision | None:
        if not _PREFIX.match(revision):
            return None
        low, high = revision.ljust(_COMMIT_LENGTH, "0"), revision.ljust(_COMMIT_LENGTH, "f")
        query = commit_query().where(commits.c.repo == uid, commits.c.id.between(low, high))
        rows = connection.execute(query.limit(2)).all()
        if len(rows) > 1:
            raise RevisionNotFoundError(f"{revision} begins several commit ids; give more digits")
        return revision_of(rows[0]) if rows else None


def refuse_clash(connection: Connection, uid: str, name: str) -> None:
    """Git keeps refs as files: `a` and `a/b` cannot both be there. Raises ConflictError."""
    parts = name.split("/")
    above = ["/".join(parts[:n]) for n in range(3, len(parts))]
    clash = or_(
        refs.c.name == name,
        refs.c.name.in_(above),
        refs.c.name.startswith(f"{name}/", autoescape=True),
    )
    found = connection.execute(select(refs.c.name).where(refs.c.repo == uid, clash)).scalars()
    taken = next(iter(found), None)
    if taken == name:
        raise ConflictError(f"{name} exists already")
    if taken is not None:
        raise ConflictError(f"{name} cannot be beside {taken}, as with files and folders")


def repo_row(connection: Connection, uid: str, *, lock: bool) -> Any:
    """Name parts and default branch of a repo, locked against other changes if asked.

    Raises:
        RepoNotFoundError: there is no such repo.
    """
    query = select(repos.c.type, repos.c.namespace, repos.c.name, repos.c.default_branch).where(
        repos.c.uid == uid
    )
    if lock:
        query = query.with_for_update()
    row = connection.execute(query).one_or_none()
    if row is None:
        raise missing(uid)
    return row
