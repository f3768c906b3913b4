"""Evidence as JSON values and back, by its kind: between processes, and kept until rules change."""

from dataclasses import MISSING, fields
from functools import cache
from types import ModuleType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from cairn.domain import Place
from cairn.errors import MalformedError
from cairn.scanner.evidence import (
    archives,
    base,
    contents,
    graphs,
    pickles,
    scripts,
    settings,
    templates,
)
from cairn.scanner.evidence.base import Evidence

MODULES: tuple[ModuleType, ...] = (
    archives,
    base,
    contents,
    graphs,
    pickles,
    scripts,
    settings,
    templates,
)
"""Every module of this folder that has kinds of evidence; a test compares."""

Json = dict[str, Any]


@cache
def kinds() -> dict[str, type[Evidence]]:
    """The classes of evidence by their kind."""
    classes = [
        one
        for module in MODULES
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, Evidence) and hasattr(one, "kind")
    ]
    return {one.kind: one for one in classes}


def encode(evidence: Evidence) -> Json:
    """Evidence as a JSON object; what a field has by default is left out."""
    told: Json = {"kind": evidence.kind}
    for field in fields(evidence):
        value = getattr(evidence, field.name)
        if field.name == "place":
            value = [list(value.members), value.offset, value.pointer]
        if field.default is MISSING or value != field.default:
            told[field.name] = value
    return told


def decode(told: object) -> Evidence:
    """The evidence that `encode` made this of, out of JSON.

    Raises:
        MalformedError: it is none of a kind known here, or has other fields or types.
    """
    if not isinstance(told, dict) or told.get("kind") not in kinds():
        raise MalformedError("not evidence of a kind known here", source="evidence")
    kind = kinds()[told["kind"]]
    given: dict[str, Any] = {name: _frozen(value) for name, value in told.items() if name != "kind"}
    hints = _hints(kind.kind)
    if "place" in given:
        given["place"] = _place(given["place"])
    needed = {one.name for one in fields(kind) if one.default is MISSING}
    if not needed <= given.keys() <= hints.keys():
        raise MalformedError(f"evidence {kind.kind!r} has other fields", source="evidence")
    for name, value in given.items():
        if not _fits(value, hints[name]):
            raise MalformedError(f"{kind.kind}.{name} is of another type", source="evidence")
    return kind(**given)


@cache
def _hints(kind: str) -> dict[str, Any]:
    hints = get_type_hints(kinds()[kind])
    return {one.name: hints[one.name] for one in fields(kinds()[kind])}


def _frozen(value: object) -> object:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


def _place(value: object) -> Place:
    match value:
        case (tuple(members), int() | None as offset, str(pointer)):
            if all(isinstance(one, str) for one in members):
                return Place(members, offset, pointer)
    raise MalformedError("evidence without a place", source="evidence")


def _fits(value: object, hint: Any) -> bool:
    """Whether a value is of a type as evidence may have: no subclass stands for another."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, one) for one in arguments)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        if arguments[-1] is Ellipsis:
            return all(_fits(item, arguments[0]) for item in value)
        return len(value) == len(arguments) and all(map(_fits, value, arguments))
    return type(value) is hint
