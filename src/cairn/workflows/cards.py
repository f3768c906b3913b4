"""Reads the YAML front matter of a README.md and tells the catalog what it says.

The text is anybody's. It is parsed by PyYAML's safe loader, after its events were counted:
depth, nodes, aliases and what merge keys copy are capped, so nested or self-referring
documents cost nothing.
"""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import yaml

from cairn.catalog import CardSummary, RepoRecord
from cairn.domain import Entry, Revision
from cairn.errors import NotFoundError, UntrustedDataError
from cairn.workflows.house import House

CARD_PATH = "README.md"
MAX_CARD_BYTES = 4 << 20
MAX_FRONT_MATTER_CHARS = 256 << 10  # the longest published ones (generated model-index) are ~100 kB
MAX_NODES = 20_000
MAX_DEPTH = 24
MAX_ALIASES = 64
MAX_TAGS = 200
MAX_TAG_CHARS = 200

_FRONT_MATTER = re.compile(r"\A﻿?\s*---[ \t]*\r?\n(.*?)(?:^(---)[ \t]*\r?$|\Z)", re.S | re.M)
_OPENED = re.compile(r"\A﻿?\s*---[ \t]*\r?\n")
# YAML 1.1 also reads `1:30:00` as a number, of any length, in time that grows with its square.
_LONG_NUMBER = re.compile(r"[-+]?[0-9][0-9_:.]{400,}\Z")


@dataclass(frozen=True)
class Card:
    """Front matter as JSON values, with what is wrong or missing in it."""

    data: dict[str, Any] = field(default_factory=dict)
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class _CardError(ValueError):
    """The front matter cannot be used; the message says why."""


class _BoundedMerges:
    """Caps what merge keys (`<<: [*a, *a]`) copy: level by level it would grow exponentially."""

    _copied = 0

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Resolve the merge keys of one mapping, as the loader does."""
        before = len(node.value)
        super().flatten_mapping(node)  # type: ignore[misc]  # of the loader mixed in below
        self._copied += max(0, len(node.value) - before)
        if self._copied > MAX_NODES:
            raise _CardError(f"the metadata's merge keys copy more than {MAX_NODES} values")


_FastLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Loader: Any = type("_Loader", (_BoundedMerges, _FastLoader), {})


def parse_card(text: str) -> Card:
    """The front matter of a README; never raises: problems are in the result."""
    if not _OPENED.match(text):
        return Card(warnings=("empty or missing yaml metadata in repo card",))
    body = _body(text)
    if body is None:
        return Card(errors=("the yaml metadata is opened by '---' and not closed by a second one",))
    try:
        data = _load(body)
    except _CardError as error:
        return Card(errors=(str(error),))
    return Card(data=data, errors=tuple(_wrong_fields(data)))


def card_body(text: str) -> str:
    """The README without its front matter."""
    body = _body(text)
    if body is None:
        return text
    found = _FRONT_MATTER.match(text)
    return text[found.end() :] if found else text


def _body(text: str) -> str | None:
    head = text[: MAX_FRONT_MATTER_CHARS + 16]
    found = _FRONT_MATTER.match(head)
    return found[1] if found is not None and found[2] else None


def _load(body: str) -> dict[str, Any]:
    try:
        _check_events(yaml.parse(body, Loader=_Loader))
        value = yaml.load(body, Loader=_Loader)  # noqa: S506 - it is the safe loader
    except yaml.YAMLError as error:
        raise _CardError(f"the metadata is not valid yaml: {_first_line(error)}") from None
    except (ValueError, OverflowError, TypeError, RecursionError) as error:
        if isinstance(error, _CardError):
            raise
        raise _CardError(f"a value in the metadata cannot be used: {_first_line(error)}") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _CardError("the metadata must be a mapping of keys to values")
    plain = _Plainer().plain(value, 0)
    assert isinstance(plain, dict)
    return plain


def _first_line(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or str(error).splitlines()[0] if str(error) else ""
    place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark is not None else ""
    return f"{str(what)[:300]}{place}"


def _check_events(events: Iterable[yaml.Event]) -> None:
    depth = nodes = aliases = 0
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.AliasEvent):
            aliases += 1
        elif isinstance(event, yaml.ScalarEvent) and _is_long_number(event):
            raise _CardError("the metadata holds a number of more than 300 digits")
        nodes += isinstance(event, yaml.NodeEvent)
        if depth > MAX_DEPTH:
            raise _CardError(f"the metadata is nested more than {MAX_DEPTH} levels deep")
        if nodes > MAX_NODES or aliases > MAX_ALIASES:
            raise _CardError(
                f"the metadata has more than {MAX_NODES} values or {MAX_ALIASES} aliases"
            )


def _is_long_number(scalar: yaml.ScalarEvent) -> bool:
    """Whether a loader may take it for a number and it is too long to be one; quoted is text."""
    _, only_if_text = scalar.implicit
    return not only_if_text and _LONG_NUMBER.match(scalar.value) is not None


class _Plainer:
    """Turns YAML values into JSON values; aliases count as often as they are used."""

    def __init__(self) -> None:
        self._left = MAX_NODES

    def plain(self, value: object, depth: int) -> Any:
        self._left -= 1
        if self._left < 0 or depth > MAX_DEPTH:
            raise _CardError("the metadata is too large once its aliases are followed")
        if isinstance(value, dict):
            return {self._key(k): self.plain(v, depth + 1) for k, v in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.plain(item, depth + 1) for item in value]
        return _scalar(value)

    @staticmethod
    def _key(key: object) -> str:
        if isinstance(key, bool):
            return "true" if key else "false"
        return str(_scalar(key))


def _scalar(value: object) -> str | int | float | bool | None:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        if any(0xD800 <= ord(c) <= 0xDFFF or c == "\x00" for c in value):
            raise _CardError("the metadata holds characters that are not valid Unicode text")
        return value
    if isinstance(value, int):
        return _whole(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    raise _CardError(f"the metadata holds a value of kind {type(value).__name__}")


def _whole(value: int) -> int | str:
    if abs(value) < 1 << 63:
        return value
    if value.bit_length() > 1024:
        raise _CardError("the metadata holds a number of more than 300 digits")
    return str(value)  # more than JSON readers in other languages take


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
