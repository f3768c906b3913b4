"""How a repo lies in its rows and comes back as a record."""

import json
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, select

from cairn.catalog.downloads import NEVER, score
from cairn.catalog.records import RepoRecord
from cairn.catalog.schema import descriptions, repos
from cairn.domain import RepoId, RepoType
from cairn.errors import RepoNotFoundError

DEFAULT_BRANCH = "main"


def repo_key(repo_id: RepoId) -> str:
    """What repo ids are compared by."""
    return f"{repo_id.type.value}/{repo_id.full_name}".lower()


def missing(asked: str) -> RepoNotFoundError:
    """The error for a repo that is not there."""
    return RepoNotFoundError(f"there is no repo {asked}")


def dump(value: object) -> str:
    """JSON for a text column; what JSON lacks (dates in YAML front matter) becomes text."""
    return json.dumps(value, default=str, separators=(",", ":"))


def new_rows(
    uid: str, repo_id: RepoId, now: datetime, *, private: bool, sdk: str | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The rows of a new, empty repo: for `repos` and for `descriptions`."""
    repo = {
        "uid": uid,
        "key": repo_key(repo_id),
        "type": repo_id.type.value,
        "owner": repo_id.namespace.lower(),
        "namespace": repo_id.namespace,
        "name": repo_id.name,
        "private": private,
        "sdk": sdk,
        "default_branch": DEFAULT_BRANCH,
        "created_at": now,
        "updated_at": now,
        "downloads": 0,
        "likes": 0,
        "trending": NEVER,
        "describe_due": False,
    }
    description = {
        "repo": uid,
        "tags": "[]",
        "card": "{}",
        "formats": "[]",
        "tensor_count": 0,
        "size_bytes": 0,
    }
    return repo, description


def record_query() -> Select[Any]:
    """Everything `record_of` needs."""
    return select(repos, *(c for c in descriptions.c if c.name != "repo")).join(
        descriptions, descriptions.c.repo == repos.c.uid
    )


def record_of(row: Row[Any], now: datetime, downloads_waiting: int = 0) -> RepoRecord:
    """The record for a row of `record_query`, with its trending score at `now`."""
    return RepoRecord(
        uid=row.uid,
        id=RepoId(RepoType(row.type), row.namespace, row.name),
        private=row.private,
        gated=row.gated,
        created_at=row.created_at,
        updated_at=row.updated_at,
        default_branch=row.default_branch,
        head=row.head,
        sdk=row.sdk,
        downloads=row.downloads + downloads_waiting,
        likes=row.likes,
        trending_score=score(row.trending, now),
        tags=tuple(json.loads(row.tags)),
        pipeline_tag=row.pipeline_tag,
        library_name=row.library_name,
        license=row.license,
        card=json.loads(row.card),
        card_commit=row.card_commit,
        parameters=None if row.parameters is None else json.loads(row.parameters),
        formats=tuple(json.loads(row.formats)),
        tensor_count=row.tensor_count,
        size_bytes=row.size_bytes,
        contents_commit=row.contents_commit,
        safetensors_views=row.safetensors_views,
    )
