"""Rows of what people decided, with the names of the repos that it is about."""

from typing import Any

from sqlalchemy import Connection, Row, Select, Table, select

from cairn.catalog.schema import repos
from cairn.errors import NotFoundError


def with_repo(table: Table, *, if_any: bool = False) -> Select[Any]:
    """Each row with `type`, `namespace` and `name` of its repo; `if_any`: rows of none as well."""
    joined = table.join(repos, repos.c.uid == table.c.repo, isouter=if_any)
    return select(table, repos.c.type, repos.c.namespace, repos.c.name).select_from(joined)


def numbered(
    connection: Connection, query: Select[Any], table: Table, number: int, noun: str
) -> Row[Any]:
    """The row of this number.

    Raises:
        NotFoundError: there is no such `noun`.
    """
    row = connection.execute(query.where(table.c.id == number)).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no {noun} {number}")
    return row
