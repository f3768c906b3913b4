"""Which repos exist and what is said about them."""

import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Select, delete, insert, select, update

from cairn.catalog import audit, descriptions, log_waiting, repo_search, schema, search_index
from cairn.catalog.accounts import find
from cairn.catalog.database import Database, insert_if_new
from cairn.catalog.downloads import Downloads
from cairn.catalog.records import (
    CardSummary,
    ContentsSummary,
    Facets,
    RepoPage,
    RepoQuery,
    RepoRecord,
)
from cairn.catalog.repo_rows import missing, new_rows, record_of, record_query, repo_key
from cairn.catalog.schema import repos
from cairn.domain import Actor, LogEvent, LogKind, RepoId, RepoType
from cairn.errors import ConflictError, RequestError

_UID_BYTES = 12  # 24 hex digits, the form the HF API's `_id` has


class Repos:
    """Repos: made, found, described, deleted."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self._downloads = Downloads(database, clock)

    def create(
        self, repo_id: RepoId, *, private: bool, sdk: str | None = None, by: Actor | None = None
    ) -> RepoRecord:
        """Add an empty repo. The namespace takes its account's spelling.

        Raises:
            NotFoundError: there is no such user or organisation.
            ConflictError: a repo of this type and name exists, whatever the case.
        """
        with self._database.write() as connection:
            add_repo(connection, repo_id, self._clock(), private=private, sdk=sdk, by=by)
        return self.get(repo_id)

    def get(self, repo_id: RepoId) -> RepoRecord:
        """The repo of this id in any case.

        Raises:
            RepoNotFoundError: there is none.
        """
        return self._one(record_query().where(repos.c.key == repo_key(repo_id)), str(repo_id))

    def get_by_uid(self, uid: str) -> RepoRecord:
        """The repo with this internal id; RepoNotFoundError if there is none."""
        return self._one(record_query().where(repos.c.uid == uid), uid)

    def update(
        self,
        repo_id: RepoId,
        *,
        private: bool | None = None,
        gated: str | None = None,
        safetensors_views: bool | Literal["default"] | None = None,
        by: Actor | None = None,
    ) -> RepoRecord:
        """Change what is not None. `gated` is `auto`, `manual`, or `off` to open the repo.

        `safetensors_views` is `default` for as the hub is set.

        Raises:
            RepoNotFoundError: there is no such repo.
            RequestError: `gated` is something else.
        """
        if gated not in (None, "auto", "manual", "off"):
            raise RequestError(f"gated is {gated!r}; use 'auto', 'manual' or 'off'")
        values: dict[str, Any] = {}
        if private is not None:
            values["private"] = private
        if gated is not None:
            values["gated"] = None if gated == "off" else gated
        if safetensors_views is not None:
            values["safetensors_views"] = (
                None if safetensors_views == "default" else safetensors_views
            )
        where = repos.c.key == repo_key(repo_id)
        with self._database.write() as connection:
            if (
                values
                and not connection.execute(update(repos).where(where).values(values)).rowcount
            ):
                raise missing(str(repo_id))
            if private is not None:
                detail = _visibility(private=private)
                audit.note(connection, self._clock(), by, "repo.visibility", repo_id, detail)
            if gated is not None:
                audit.note(connection, self._clock(), by, "repo.gated", repo_id, gated)
            if safetensors_views is not None:
                detail = str(safetensors_views).lower()
                audit.note(connection, self._clock(), by, "repo.views", repo_id, detail)
        return self.get(repo_id)

    def delete(self, repo_id: RepoId, *, by: Actor | None = None) -> None:
        """Remove a repo with its history; its bytes become free for gc. The audit row stays.

        Raises:
            RepoNotFoundError: there is no such repo.
        """
        with self._database.write() as connection:
            row = connection.execute(
                select(repos).where(repos.c.key == repo_key(repo_id)).with_for_update()
            ).one_or_none()
            if row is None:
                raise missing(str(repo_id))
            search_index.drop(connection, row.id)
            connection.execute(delete(repos).where(repos.c.id == row.id))
            now = self._clock()
            audit.note(connection, now, by, "repo.delete", repo_id)
            spelt = RepoId(repo_id.type, row.namespace, row.name)
            event = LogEvent(LogKind.REPO_DELETED, spelt, audit.name_of(by), now)
            log_waiting.note(connection, row.uid, event, private=row.private)

    def search(self, query: RepoQuery) -> RepoPage:
        """One page of the repos that match and that the viewer may know of.

        Raises:
            RequestError: the cursor, the sort key or the limit is not valid.
        """
        return repo_search.page(self._database, query, self._clock())

    def facets(self, repo_type: RepoType, viewer: Actor) -> Facets:
        """The values to filter by, with counts of the repos the viewer may know of."""
        return repo_search.facets(self._database, repo_type, viewer)

    def count_download(self, repo_id: RepoId, n: int = 1) -> None:
        """Add `n` downloads; cheap, as they are written together. Unknown repos are ignored."""
        self._downloads.add(repo_key(repo_id), n)

    def flush_downloads(self) -> None:
        """Write the downloads counted so far."""
        self._downloads.flush()

    def set_card(self, uid: str, summary: CardSummary) -> None:
        """Note what the card of a commit says; ignored if a newer commit is described already.

        Raises:
            RepoNotFoundError: there is no such repo.
        """
        with self._database.write() as connection:
            descriptions.set_card(connection, uid, summary)

    def set_contents(self, uid: str, summary: ContentsSummary) -> None:
        """Note what the files of a commit hold; ignored if a newer commit is described already.

        Raises:
            RepoNotFoundError: there is no such repo.
        """
        with self._database.write() as connection:
            descriptions.set_contents(connection, uid, summary)

    def repos_to_describe(self, limit: int = 100) -> list[RepoRecord]:
        """Repos whose default branch has moved since they were described, longest-due first."""
        query = record_query().where(repos.c.describe_due).order_by(repos.c.updated_at).limit(limit)
        now = self._clock()
        with self._database.read() as connection:
            return [record_of(row, now) for row in connection.execute(query)]

    def _one(self, query: Select[Any], asked: str) -> RepoRecord:
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise missing(asked)
        return record_of(row, self._clock(), self._downloads.waiting(row.key))

    def close(self) -> None:
        """Write what is still held in memory."""
        self._downloads.close()


def add_repo(
    connection: Connection,
    repo_id: RepoId,
    now: datetime,
    *,
    private: bool,
    sdk: str | None,
    by: Actor | None,
) -> str:
    """Add an empty repo; its uid.

    Raises:
        NotFoundError: there is no such user or organisation.
        ConflictError: a repo of this type and name exists, whatever the case.
    """
    uid = secrets.token_hex(_UID_BYTES)
    namespace = find(connection, repo_id.namespace).name
    repo_id = RepoId(repo_id.type, namespace, repo_id.name)
    row, description = new_rows(uid, repo_id, now, private=private, sdk=sdk)
    if not insert_if_new(connection, repos, row, key="key"):
        raise ConflictError(f"{repo_id} exists already")
    number = connection.execute(select(repos.c.id).where(repos.c.uid == uid)).scalar_one()
    connection.execute(insert(schema.descriptions), description)
    words = search_index.document((namespace, repo_id.name))
    search_index.put(connection, number, words)
    audit.note(connection, now, by, "repo.create", repo_id, _visibility(private=private))
    return uid


def _visibility(*, private: bool) -> str:
    return "private" if private else "public"
