"""Repos that come with their history from another hub: made again under the same commit ids.

A repo is taken in by one transaction, so it is there whole or not at all; what takes long was done
before, in a draft of its history. Where it is there already, branches move forward only.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from cairn.catalog import audit, log_waiting, refs
from cairn.catalog.commits import commit_query, is_ancestor
from cairn.catalog.committing import note_move
from cairn.catalog.database import Database
from cairn.catalog.drafted_history import DraftedHistory
from cairn.catalog.past_commits import PastCommit
from cairn.catalog.repo_rows import repo_key
from cairn.catalog.repos import add_repo
from cairn.catalog.schema import commits, repos
from cairn.catalog.schema import refs as refs_table
from cairn.catalog.tree_store import TreeStore
from cairn.domain import Actor, Ref, RepoId
from cairn.errors import ConflictError, IntegrityError


@dataclass(frozen=True, slots=True)
class Arrival:
    """A repo as it was elsewhere: its settings, and where its refs are.

    `gated` is None, `auto` or `manual`.
    """

    id: RepoId
    private: bool
    gated: str | None
    sdk: str | None
    safetensors_views: bool | None
    refs: tuple[Ref, ...]


class _UndoneError(Exception):
    """Ends a transaction that was only tried."""


class Arrivals:
    """Takes repos in."""

    def __init__(self, database: Database, trees: TreeStore, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._trees = trees
        self._clock = clock

    @contextmanager
    def drafted(self, arrival: Arrival, past: Iterable[PastCommit]) -> Iterator[DraftedHistory]:
        """What is missing of a repo, made again beside the catalog and tried; for `take`.

        `past` are its commits, each behind its parent. Nothing changes.

        Raises:
            NotFoundError: there is no such user or organisation.
            ConflictError: a ref of that name is here and neither of the two commits comes from
                the other, or it is a tag of another commit.
            IntegrityError: a commit does not come out with its id, or lacks its parent, or a ref
                its commit.
            LimitError: paths too deep, or too many directories or entries.
        """
        with self._database.read() as connection:
            uid = self._here(connection, arrival.id)
        with closing(DraftedHistory(self._database, self._trees, uid)) as history:
            for commit in past:
                history.add(commit)
            with suppress(_UndoneError), self._database.write() as connection:
                self._take(connection, arrival, history, None)
                raise _UndoneError
            yield history

    def take(
        self, arrival: Arrival, history: DraftedHistory, *, by: Actor | None = None
    ) -> tuple[str, int]:
        """Add what is missing of a repo; its uid, and how many commits were new.

        A repo that is here keeps its settings.

        Raises:
            NotFoundError, ConflictError, IntegrityError: as `drafted`, of what changed since.
        """
        with self._database.write() as connection:
            return self._take(connection, arrival, history, by)

    def _take(
        self,
        connection: Connection,
        arrival: Arrival,
        history: DraftedHistory,
        by: Actor | None,
    ) -> tuple[str, int]:
        uid = self._here(connection, arrival.id) or self._new(connection, arrival, by)
        refs.repo_row(connection, uid, lock=True)
        added = history.copy_to(connection, uid)
        for ref in arrival.refs:
            _bring_forward(connection, uid, ref, audit.name_of(by), self._clock())
        audit.note(connection, self._clock(), by, "repo.import", arrival.id, f"{added} commits")
        return uid, added

    def _here(self, connection: Connection, repo_id: RepoId) -> str | None:
        query = select(repos.c.uid).where(repos.c.key == repo_key(repo_id))
        return connection.execute(query).scalar_one_or_none()

    def _new(self, connection: Connection, arrival: Arrival, by: Actor | None) -> str:
        private, sdk = arrival.private, arrival.sdk
        uid = add_repo(connection, arrival.id, self._clock(), private=private, sdk=sdk, by=by)
        values = {"gated": arrival.gated, "safetensors_views": arrival.safetensors_views}
        connection.execute(update(repos).where(repos.c.uid == uid).values(values))
        return uid


def _commit(connection: Connection, uid: str, commit: str) -> Row[Any] | None:
    query = commit_query().where(commits.c.repo == uid, commits.c.id == commit)
    return connection.execute(query).one_or_none()


def _bring_forward(connection: Connection, uid: str, ref: Ref, actor: str, now: datetime) -> None:
    """Create a ref, or move a branch to a commit that comes from where it is."""
    refs.check_full_name(ref.name)
    row = _commit(connection, uid, ref.commit)
    if row is None:
        raise IntegrityError(f"{ref.name} is at {ref.commit[:80]!r}, which is no commit of it")
    place = {"repo": uid, "name": ref.name}
    found = select(refs_table.c.commit).filter_by(**place)
    at = connection.execute(found).scalar_one_or_none()
    moves = not ref.name.startswith("refs/tags/")
    if at is None:
        refs.refuse_clash(connection, uid, ref.name)
        connection.execute(insert(refs_table), place | {"commit": ref.commit})
    elif at == ref.commit or (moves and is_ancestor(connection, uid, ref.commit, at)):
        return  # it may have gone on here
    elif moves and is_ancestor(connection, uid, at, ref.commit):
        connection.execute(update(refs_table).filter_by(**place).values(commit=ref.commit))
    else:
        raise ConflictError(
            f"{ref.name} is at {at} here and at {ref.commit} there, and cannot be brought from"
            " one to the other: import the repo under another namespace"
        )
    note_move(connection, uid, ref.name, ref.commit, row.created_at)
    log_waiting.ref_moved(connection, uid, ref.name, at, ref.commit, actor=actor, at=now)
