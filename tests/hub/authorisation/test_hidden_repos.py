"""A private repo and a missing one look the same to outsiders: status, headers, body, work done."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from httpx2 import Response
from sqlalchemy import Engine, event

from cairn.domain import RepoId, RepoType
from tests.hub.authorisation.asking import prepared
from tests.hub.authorisation.table import Row, rows
from tests.hub.authorisation.world import SECRET_TEXT, World, repo_named

OUTSIDERS = ("anonymous", "stranger")
PRIVATE = repo_named("private")
MISSING = RepoId(RepoType.MODEL, "lab", "missing-repo")
_NAMES = re.compile(r"(private|missing)-repo|[a-z]+-[0-9]{6}\b")  # and those made for one request
_OF_EACH_ANSWER = {"x-request-id", "date", "ratelimit"}


assert len(MISSING.name) == len(PRIVATE.name)


def hiding() -> list[Row]:
    """Rows of routes that are about one repo and do not let strangers to a private one."""
    return [r for r in rows() if r.names_repo and r.status["private"]["stranger"] >= 400]


@pytest.mark.parametrize("row", hiding(), ids=lambda row: row.name)
@pytest.mark.parametrize("role", OUTSIDERS)
def test_a_private_repo_looks_like_a_missing_one(world: World, row: Row, role: str) -> None:
    for headers in ({}, {"accept": "text/html"}, {"range": "bytes=0-1"}):
        private, missing = (told(world, row, role, r, headers) for r in (PRIVATE, MISSING))
        assert private == missing


def told(
    world: World, row: Row, role: str, repo: RepoId, headers: dict[str, str]
) -> tuple[object, ...]:
    """Everything of an answer that depends on the repo, with names taken out."""
    request = prepared(world, row.name, role, repo)
    with statements() as run:
        answer = request.send(world, role, headers)
    assert SECRET_TEXT not in answer.content
    return answer.status_code, _headers(answer), _nameless(answer), run


def _headers(answer: Response) -> dict[str, str]:
    # Names and request ids have as many characters for both: lengths may be compared.
    of_content = {n: v for n, v in answer.headers.items() if n not in _OF_EACH_ANSWER}
    return {name: _NAMES.sub("...", value) for name, value in of_content.items()}


def _nameless(answer: Response) -> str:
    return _NAMES.sub("...", answer.text).replace(answer.headers["x-request-id"], "...")


@contextmanager
def statements() -> Iterator[list[str]]:
    """The SQL that runs meanwhile. Its number is the part of the time that could tell."""
    run: list[str] = []

    def note(connection, cursor, statement: str, *_: object) -> None:
        # When a token was last used is written once a minute.
        if not statement.startswith(("BEGIN", "UPDATE tokens")):
            run.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield run
    finally:
        event.remove(Engine, "before_cursor_execute", note)
