"""How repos are found by words: what is indexed, and how a query reads on either database.

Words are made here, not by the database: PostgreSQL's parser would take `org/model` for a
file name, and FTS5's would leave camel case together. Both then see only lower-case words
between spaces. A document holds each name whole, without separators, and in pieces
(`MiniLM-L6` gives `minilml6`, `minilm`, `l6`, `mini`, `lm`, `l`, `6`); a query is cut at
separators only, so any way of writing a name finds it. The last word also matches as a
prefix, because people search while they type.
"""

import re
from collections.abc import Iterable

from sqlalchemy import Connection, TextClause, column, text
from sqlalchemy.sql.expression import TextualSelect

_WORD = re.compile(r"[^\W_]+")
_PIECE = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W_A-Za-z0-9]+")
MAX_QUERY_WORDS = 16
MAX_WORD_LENGTH = 64  # PostgreSQL refuses lexemes over 2 KiB; no name has words this long
MAX_DOCUMENT_WORDS = 2000


def document(names: Iterable[str], others: Iterable[str] = ()) -> str:
    """The words under which a repo is found: its names in every form, other texts word by word."""
    words: dict[str, None] = {}
    for name in names:
        parts = _WORD.findall(name)
        words |= dict.fromkeys(["".join(parts), *parts])
        words |= dict.fromkeys(piece for part in parts for piece in _PIECE.findall(part))
    for other in others:
        words |= dict.fromkeys(_WORD.findall(other))
    lowered = dict.fromkeys(word.lower()[:MAX_WORD_LENGTH] for word in words if word)
    return " ".join(list(lowered)[:MAX_DOCUMENT_WORDS])


def query_words(query: str) -> list[str]:
    """The words a query asks for, the last one a prefix; empty if it has none."""
    found = _WORD.findall(query.lower())[:MAX_QUERY_WORDS]
    return [word[:MAX_WORD_LENGTH] for word in found]


def matching(words: list[str], *, is_sqlite: bool) -> TextualSelect:
    """Select the ids of the repos that have all words; `words` as `query_words` gives them."""
    if is_sqlite:
        match = " ".join(f'"{word}"' for word in words) + "*"
        statement = text("SELECT rowid AS id FROM repo_search WHERE repo_search MATCH :words")
    else:
        match = " & ".join(f"'{word}'" for word in words) + ":*"
        statement = text("SELECT id FROM repo_search WHERE words @@ CAST(:words AS tsquery)")
    return statement.bindparams(words=match).columns(column("id"))


def put(connection: Connection, repo_id: int, words: str) -> None:
    """Set the words of a repo."""
    drop(connection, repo_id)
    if connection.dialect.name == "sqlite":
        statement = "INSERT INTO repo_search (rowid, words) VALUES (:id, :words)"
    else:
        statement = (
            "INSERT INTO repo_search VALUES (:id, array_to_tsvector(string_to_array(:words, ' ')))"
        )
    connection.execute(text(statement), {"id": repo_id, "words": words})


def drop(connection: Connection, repo_id: int) -> None:
    """Forget a repo's words."""
    key = "rowid" if connection.dialect.name == "sqlite" else "id"
    statement: TextClause = text(f"DELETE FROM repo_search WHERE {key} = :id")  # noqa: S608
    connection.execute(statement, {"id": repo_id})
