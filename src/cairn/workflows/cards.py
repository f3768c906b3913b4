"""Reads the YAML front matter of a README.md and tells the catalog what it says.

The text is anybody's; `cairn.formats.bounded_yaml` reads it at a bounded cost.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from cairn.catalog import CardSummary, RepoRecord
from cairn.domain import Entry, Revision
from cairn.errors import MalformedError, NotFoundError, UntrustedDataError
from cairn.formats.bounded_yaml import load_yaml
from cairn.workflows.front_matter import front_matter, opens_front_matter
from cairn.workflows.house import House

CARD_PATH = "README.md"
MAX_CARD_BYTES = 4 << 20
MAX_TAGS = 200
MAX_TAG_CHARS = 200


@dataclass(frozen=True)
class Card:
    """Front matter as JSON values, with what is wrong or missing in it."""

    data: dict[str, Any] = field(default_factory=dict)
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def parse_card(text: str) -> Card:
    """The front matter of a README; never raises: problems are in the result."""
    if not opens_front_matter(text):
        return Card(warnings=("empty or missing yaml metadata in repo card",))
    body = front_matter(text)
    if body is None:
        return Card(errors=("the yaml metadata is opened by '---' and not closed by a second one",))
    try:
        data = _load(body)
    except UntrustedDataError as error:
        return Card(errors=(error.what,))
    return Card(data=data, errors=tuple(_wrong_fields(data)))


def _load(body: str) -> dict[str, Any]:
    value = load_yaml(body, "the metadata")
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise MalformedError("the metadata must be a mapping of keys to values")
    return value


_LISTS_OF_TEXT = ("tags", "datasets", "metrics")
_TEXT_OR_LIST = ("license", "language", "base_model")
_TEXT = ("pipeline_tag", "library_name", "license_name", "license_link")


def _wrong_fields(data: dict[str, Any]) -> Iterator[str]:
    for key in _LISTS_OF_TEXT:
        value = data.get(key)
        if value is not None and not _is_texts(value):
            yield f'"{key}" must be an array of strings'
    for key in _TEXT_OR_LIST:
        value = data.get(key)
        if value is not None and not isinstance(value, str | bool) and not _is_texts(value):
            yield f'"{key}" must be a string or an array of strings'
    for key in _TEXT:
        value = data.get(key)
        if value is not None and not isinstance(value, str):
            yield f'"{key}" must be a string'
    if data.get("model-index") is not None and not isinstance(data["model-index"], list):
        yield '"model-index" must be an array'


def _is_texts(value: object) -> bool:
    # YAML 1.1 reads the language code `no` as False; it is taken as the code it was meant to be.
    return isinstance(value, list) and all(isinstance(item, str | bool) for item in value)


def _texts(data: dict[str, Any], key: str) -> list[str]:
    value = data.get(key)
    items = value if isinstance(value, list) else [value]
    spelled = ["no" if item is False else item for item in items]
    return [item[:MAX_TAG_CHARS] for item in spelled if isinstance(item, str) and item.strip()]


def summarise(card: Card, commit: str) -> CardSummary:
    """What the catalog keeps of a card; the tags are those the HF hub derives."""
    data = card.data
    pipeline = next(iter(_texts(data, "pipeline_tag")), None)
    library = next(iter(_texts(data, "library_name")), None)
    licence = next(iter(_texts(data, "license")), None)
    tags = [
        *([library] if library else []),
        *_texts(data, "tags"),
        *([pipeline] if pipeline else []),
        *_texts(data, "language"),
        *(f"dataset:{name}" for name in _texts(data, "datasets")),
        *(f"base_model:{name}" for name in _texts(data, "base_model")),
        *(f"license:{name}" for name in _texts(data, "license")),
    ]
    return CardSummary(
        commit=commit,
        tags=tuple(dict.fromkeys(tags))[:MAX_TAGS],
        pipeline_tag=pipeline,
        library_name=library,
        license=licence,
        card=data,
    )


def read_card(house: House, revision: Revision) -> str:
    """The text of a revision's README.md; empty when there is none or it is too large to be one."""
    try:
        entry = house.catalog.history.entry(revision.tree, CARD_PATH)
        if not isinstance(entry, Entry) or entry.blob.size_bytes > MAX_CARD_BYTES:
            return ""
        return house.store.read_bytes(entry.blob.digest, MAX_CARD_BYTES).decode("utf-8", "replace")
    except (NotFoundError, UntrustedDataError):
        return ""


def sync_card(house: House, record: RepoRecord) -> None:
    """Make the catalog say what the card at the head of the default branch says.

    Two pushes may finish in either order; the catalog keeps what the newer commit says.
    """
    at = house.catalog.history.resolve(record.uid, record.default_ref)
    summary = summarise(parse_card(read_card(house, at)), at.id)
    house.catalog.repos.set_card(record.uid, summary)


def base_models(record: RepoRecord) -> list[str]:
    """The models the card says this one was made from (at most ten)."""
    given = record.card.get("base_model")
    items = given if isinstance(given, list) else [given]
    return [item for item in items if isinstance(item, str) and item.strip()][:10]
