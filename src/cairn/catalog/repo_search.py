"""Which repos a listing shows, in which order, page by page, and counts to filter by."""

import base64
import binascii
import json
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    false,
    func,
    literal,
    select,
    tuple_,
)

from cairn.catalog import search_index
from cairn.catalog.accounts import key_of
from cairn.catalog.database import Database, storable
from cairn.catalog.records import Facets, RepoPage, RepoQuery
from cairn.catalog.repo_rows import record_of, record_query
from cairn.catalog.schema import repo_tags, repos
from cairn.catalog.visibility import visible_to
from cairn.domain import Actor, RepoType
from cairn.errors import RequestError

_MAX_CURSOR_LENGTH = 200
_MAX_INTEGER = (1 << 63) - 1  # what a BIGINT column can be compared with
MAX_TAGS = 100  # each is a condition of its own; SQLite admits an expression 1000 deep
MAX_LIMIT = 1000  # the page size huggingface.co caps at
_SORT_COLUMNS = {
    "lastModified": repos.c.updated_at,
    "createdAt": repos.c.created_at,
    "trendingScore": repos.c.trending,
    "downloads": repos.c.downloads,
    "likes": repos.c.likes,
}


def page(database: Database, query: RepoQuery, now: datetime) -> RepoPage:
    """One page of matching repos and the number of all."""
    if query.sort not in _SORT_COLUMNS:
        raise RequestError(f"cannot sort by {query.sort!r}; use {', '.join(_SORT_COLUMNS)}")
    if len(query.tags) > MAX_TAGS:
        raise RequestError(f"{len(query.tags)} tags to filter by; the most is {MAX_TAGS}")
    if query.limit < 1:
        raise RequestError(f"limit is {query.limit}; it must be 1 to {MAX_LIMIT}")
    limit = min(query.limit, MAX_LIMIT)
    matches = _conditions(query, is_sqlite=database.is_sqlite)
    column = _SORT_COLUMNS[query.sort]
    listing = (
        record_query()
        .where(*matches, *_after(query, column))
        .order_by(column.desc(), repos.c.id.desc())
        .limit(limit + 1)
    )
    counting = select(func.count()).select_from(repos).where(*matches)
    with database.read() as connection:
        total = connection.execute(counting).scalar_one()
        rows = connection.execute(listing).all() if total else []
    cursor = _cursor(query.sort, rows[limit - 1], column) if len(rows) > limit else None
    return RepoPage(tuple(record_of(row, now) for row in rows[:limit]), cursor, total)


def facets(database: Database, repo_type: RepoType, viewer: Actor) -> Facets:
    """Counts of visible repos by pipeline tag, library and license, most frequent first."""
    visible = and_(repos.c.type == repo_type.value, visible_to(viewer))
    with database.read() as connection:
        return Facets(
            _count(connection, repos.c.pipeline_tag, visible),
            _count(connection, repos.c.library_name, visible),
            _count(connection, repos.c.license, visible),
        )


def _count(
    connection: Connection, column: ColumnElement[str | None], visible: ColumnElement[bool]
) -> dict[str, int]:
    query = select(column, func.count()).where(visible, column.is_not(None)).group_by(column)
    counts = {str(value): int(count) for value, count in connection.execute(query)}
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def _conditions(query: RepoQuery, *, is_sqlite: bool) -> list[ColumnElement[bool]]:
    found = [repos.c.type == query.type.value, visible_to(query.viewer)]
    words = search_index.query_words(query.text)
    if words:
        found.append(repos.c.id.in_(search_index.matching(words, is_sqlite=is_sqlite)))
    if query.author is not None:
        found.append(repos.c.owner == key_of(query.author))
    asked = (query.author, *query.tags, query.pipeline_tag, query.library, query.license)
    if not all(storable(value) for value in asked if value is not None):
        return [false()]
    for tag in query.tags:
        tagged: Select[Any] = select(repo_tags.c.repo_id).where(repo_tags.c.tag == tag.lower())
        found.append(repos.c.id.in_(tagged))
    for column, value in (
        (repos.c.pipeline_tag, query.pipeline_tag),
        (repos.c.library_name, query.library),
        (repos.c.license, query.license),
    ):
        if value is not None:
            found.append(column == value)
    return found


def _after(query: RepoQuery, column: ColumnElement[Any]) -> list[ColumnElement[bool]]:
    if query.cursor is None:
        return []
    try:
        if len(query.cursor) > _MAX_CURSOR_LENGTH:
            raise ValueError
        sort, value, number = json.loads(base64.urlsafe_b64decode(query.cursor.encode()))
        if sort != query.sort or type(number) is not int or abs(number) > _MAX_INTEGER:
            raise ValueError
        if query.sort in ("lastModified", "createdAt"):
            value = datetime.fromisoformat(value)
            if value.tzinfo is None:
                raise ValueError
        elif type(value) not in (int, float) or not abs(value) <= _MAX_INTEGER:
            raise ValueError
    except (ValueError, TypeError, binascii.Error):
        raise RequestError("the cursor is not one this listing gave; start without it") from None
    # The literal takes the column's type: a moment is kept as an integer, and SQLite finds
    # every integer smaller than a text.
    return [tuple_(column, repos.c.id) < tuple_(literal(value, column.type), number)]


def _cursor(sort: str, row: Any, column: Any) -> str:
    value = getattr(row, column.name)
    if isinstance(value, datetime):
        value = value.isoformat()
    return base64.urlsafe_b64encode(json.dumps([sort, value, row.id]).encode()).decode()
