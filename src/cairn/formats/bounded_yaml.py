"""YAML from strangers, read as plain values at a bounded cost.

PyYAML's safe loader does it, after its events were counted: depth, nodes, aliases and what merge
keys copy are capped, so nested or self-referring documents cost nothing. Specifications:
https://yaml.org/spec/1.1/, which PyYAML follows, and https://pyyaml.org/wiki/PyYAMLDocumentation.

PyYAML is no part of the standard library: import this module only where there is YAML to read.
"""

import math
from collections.abc import Iterable
from datetime import date, datetime
from re import compile as pattern
from typing import Any

import yaml

from cairn.domain import Scalar
from cairn.errors import LimitError, MalformedError, UntrustedDataError
from cairn.formats.limits import (
    MAX_METADATA_ITEMS,
    MAX_METADATA_KEY_CHARS,
    MAX_YAML_ALIASES,
    MAX_YAML_DEPTH,
    MAX_YAML_NODES,
)
from cairn.formats.naming import printable

# YAML 1.1 also reads `1:30:00` as a number, of any length, in time that grows with its square.
_LONG_NUMBER = pattern(r"[-+]?[0-9][0-9_:.]{400,}\Z")
_MAX_VALUE_CHARS = 500
_MAX_LISTED = 16


class _BoundedMerges:
    """Caps what merge keys (`<<: [*a, *a]`) copy: level by level it would grow exponentially."""

    _copied = 0

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Resolve the merge keys of one mapping, as the loader does."""
        before = len(node.value)
        super().flatten_mapping(node)  # type: ignore[misc]  # of the loader mixed in below
        self._copied += max(0, len(node.value) - before)
        if self._copied > MAX_YAML_NODES:
            raise LimitError(f"merge keys copy more than {MAX_YAML_NODES} values")


_FastLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Loader: Any = type("_Loader", (_BoundedMerges, _FastLoader), {})


class _UntaggedLoader(_Loader):  # type: ignore[misc]  # made at run time, where libyaml may be absent
    """Takes what is tagged as an object of some class for the plain values it is written as."""


def _written(loader: Any, _: str, node: yaml.Node) -> object:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node)


_UntaggedLoader.add_multi_constructor("", _written)


def load_yaml(text: str, what: str, *, tags: bool = False) -> Any:
    """The document as JSON would have it: dictionaries with text as keys, lists, scalars.

    `what` is how messages name the document. Values with the tag of a class are refused, or with
    `tags` taken for what they are written as; nothing of that class is made.

    Raises:
        UntrustedDataError: it is not YAML, or costs more than is spent on it.
    """
    loader = _UntaggedLoader if tags else _Loader
    try:
        _check_events(yaml.parse(text, Loader=loader))
        return _Plainer().plain(yaml.load(text, Loader=loader), 0)  # noqa: S506 - both are safe
    except yaml.YAMLError as error:
        raise MalformedError(f"{what} is not valid yaml: {_first_line(error)}") from None
    except UntrustedDataError as error:
        raise type(error)(f"{what} cannot be used: {error.what}") from None
    except (ValueError, OverflowError, TypeError, RecursionError, AttributeError) as error:
        raise MalformedError(f"{what} cannot be used: {_first_line(error)}") from None


def flat_settings(settings: Any, prefix: str = "") -> dict[str, Scalar]:
    """Nested settings by dotted key, in order; short lists as text, long ones counted."""
    found: dict[str, Scalar] = {}
    waiting: list[tuple[str, Any]] = [(prefix, settings)]
    while waiting and len(found) < MAX_METADATA_ITEMS:
        name, value = waiting.pop()
        if isinstance(value, dict):
            head = f"{name}." if name else ""
            waiting += [(head + key, inner) for key, inner in reversed(value.items())]
        elif name:
            found[printable(name, MAX_METADATA_KEY_CHARS)] = _shown(value)
    return found


def _shown(value: Any) -> Scalar:
    if isinstance(value, list):
        nested = any(isinstance(item, (dict, list)) for item in value)
        if nested or len(value) > _MAX_LISTED:
            return f"[{len(value):,} values]"
        return printable(", ".join(str(item) for item in value), _MAX_VALUE_CHARS)
    if isinstance(value, str):
        return printable(value, _MAX_VALUE_CHARS)
    assert value is None or isinstance(value, (bool, int, float))
    return value


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
            raise LimitError("a number has more than 300 digits")
        nodes += isinstance(event, yaml.NodeEvent)
        if depth > MAX_YAML_DEPTH:
            raise LimitError(f"it is nested more than {MAX_YAML_DEPTH} levels deep")
        if nodes > MAX_YAML_NODES or aliases > MAX_YAML_ALIASES:
            raise LimitError(
                f"it has more than {MAX_YAML_NODES} values or {MAX_YAML_ALIASES} aliases"
            )


def _is_long_number(scalar: yaml.ScalarEvent) -> bool:
    """Whether a loader may take it for a number and it is too long to be one; quoted is text."""
    _, only_if_text = scalar.implicit
    return not only_if_text and _LONG_NUMBER.match(scalar.value) is not None


class _Plainer:
    """Turns YAML values into JSON values; aliases count as often as they are used."""

    def __init__(self) -> None:
        self._left = MAX_YAML_NODES

    def plain(self, value: object, depth: int) -> Any:
        self._left -= 1
        if self._left < 0 or depth > MAX_YAML_DEPTH:
            raise LimitError("it is too large once its aliases are followed")
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
            raise MalformedError("it holds characters that are not valid Unicode text")
        return value
    if isinstance(value, int):
        return _whole(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    raise MalformedError(f"it holds a value of kind {type(value).__name__}")


def _whole(value: int) -> int | str:
    if abs(value) < 1 << 63:
        return value
    if value.bit_length() > 1024:
        raise LimitError("a number has more than 300 digits")
    return str(value)  # more than JSON readers in other languages take
