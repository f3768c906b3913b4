"""The front matter of a card as a page shows it."""

from collections.abc import Iterator
from typing import Any

from cairn.catalog import RepoRecord
from cairn.hub.web.repo_view import parent_link
from cairn.hub.web.visit import Visit

MAX_METADATA_ROWS = 24
MAX_METADATA_VALUES = 40
MAX_VALUE_CHARACTERS = 300


def metadata_of(visit: Visit, record: RepoRecord) -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """The card's front matter as rows of short values, structured values left out.

    What a gate says and asks is not among them: its own page shows that.
    """
    rows = [item for item in record.card.items() if not item[0].startswith("extra_gated_")]
    for key, value in rows[:MAX_METADATA_ROWS]:
        items = value if isinstance(value, list) else [value]
        texts = [
            str(item)[:MAX_VALUE_CHARACTERS]
            for item in items[:MAX_METADATA_VALUES]
            if isinstance(item, str | int | float | bool) and str(item).strip()
        ]
        linked = key in ("base_model", "base_models")
        pairs = [(text, parent_link(visit.base, text) if linked else None) for text in texts]
        if pairs:
            yield key.replace("_", " ")[:60], pairs
