"""What card and files of a repo's default branch say, and how it is kept in step with the head."""

from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from cairn.catalog import search_index
from cairn.catalog.records import CardSummary, ContentsSummary
from cairn.catalog.repo_rows import dump, missing
from cairn.catalog.schema import descriptions, repo_tags, repos

MAX_LABEL_LENGTH = 200  # a tag longer than this is no tag; PostgreSQL indexes at most 2.7 KB


def set_card(connection: Connection, uid: str, summary: CardSummary) -> None:
    """Note a card, its tags and its words, unless a newer commit's card is noted already."""
    facts = {
        "pipeline_tag": _label(summary.pipeline_tag),
        "library_name": _label(summary.library_name),
        "license": _label(summary.license),
    }
    tags = list(dict.fromkeys(tag for tag in map(_label, summary.tags) if tag))
    card = {"tags": dump(tags), "card": dump(summary.card)}
    row = _describe(connection, uid, "card_commit", summary.commit, card)
    if row is None:
        return
    connection.execute(update(repos).where(repos.c.id == row.id).values(facts))
    _index_tags(connection, row.id, tags, facts)
    words = [text for text in (*tags, *facts.values()) if text and ":" not in text]
    search_index.put(connection, row.id, search_index.document((row.namespace, row.name), words))


def set_contents(connection: Connection, uid: str, summary: ContentsSummary) -> None:
    """Note what the files hold, unless a newer commit's are noted already."""
    contents = {
        "parameters": dump(summary.parameters),
        "formats": dump(list(summary.formats)),
        "tensor_count": summary.tensor_count,
        "size_bytes": summary.size_bytes,
    }
    _describe(connection, uid, "contents_commit", summary.commit, contents)


def _describe(
    connection: Connection, uid: str, column: str, commit: str, values: dict[str, Any]
) -> Any:
    """Write one half of a description; None if the half of the head commit is there already."""
    row = connection.execute(
        select(
            repos.c.id,
            repos.c.namespace,
            repos.c.name,
            repos.c.head,
            descriptions.c.card_commit,
            descriptions.c.contents_commit,
        )
        .join(descriptions, descriptions.c.repo == repos.c.uid)
        .where(repos.c.uid == uid)
        .with_for_update()
    ).one_or_none()
    if row is None:
        raise missing(uid)
    described = {"card_commit": row.card_commit, "contents_commit": row.contents_commit}
    if row.head is not None and commit != row.head == described[column]:
        return None
    described[column] = commit
    connection.execute(
        update(descriptions).where(descriptions.c.repo == uid).values(values | {column: commit})
    )
    due = row.head is not None and any(at != row.head for at in described.values())
    connection.execute(update(repos).where(repos.c.id == row.id).values(describe_due=due))
    return row


def _index_tags(
    connection: Connection, repo_id: int, tags: list[str], facts: dict[str, str | None]
) -> None:
    found = {tag.lower() for tag in tags}
    prefixes = {"pipeline_tag": "", "library_name": "", "license": "license:"}
    found |= {prefixes[name] + value.lower() for name, value in facts.items() if value}
    connection.execute(delete(repo_tags).where(repo_tags.c.repo_id == repo_id))
    if found:
        rows = [{"tag": tag, "repo_id": repo_id} for tag in sorted(found)]
        connection.execute(insert(repo_tags), rows)


def _label(text: str | None) -> str | None:
    """A short, storable text from a stranger's card: NUL and lone surrogates out, cut to length."""
    if text is None:
        return None
    clean = text.replace("\x00", "").encode(errors="replace").decode().strip()
    return clean[:MAX_LABEL_LENGTH] or None
