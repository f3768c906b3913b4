"""Evidence as JSON values and back, by its kind: between processes, and kept until rules change."""

from dataclasses import MISSING, fields
from functools import cache
from types import ModuleType, UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

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


class _Form(NamedTuple):
    """What encoding and decoding need to know of a class of evidence; thousands are of a few."""

    make: type[Evidence]
    hints: dict[str, Any]
    needed: frozenset[str]
    defaults: tuple[tuple[str, Any], ...]


def encode(evidence: Evidence) -> Json:
    """Evidence as a JSON object; what a field has by default is left out."""
    place = evidence.place
    told: Json = {
        "kind": evidence.kind,
        "place": [list(place.members), place.offset, place.pointer],
    }
    for name, default in _form(evidence.kind).defaults:
        value = getattr(evidence, name)
        if value != default:
            told[name] = value
    return told


def decode(told: object) -> Evidence:
    """The evidence that `encode` made this of, out of JSON.

    Raises:
        MalformedError: it is none of a kind known here, or has other fields or types.
    """
    if not isinstance(told, dict) or told.get("kind") not in kinds():
        raise MalformedError("not evidence of a kind known here", source="evidence")
    form = _form(told["kind"])
    given: dict[str, Any] = {name: _frozen(value) for name, value in told.items() if name != "kind"}
    if "place" in given:
        given["place"] = _place(given["place"])
    if not form.needed <= given.keys() <= form.hints.keys():
        raise MalformedError(f"evidence {form.make.kind!r} has other fields", source="evidence")
    for name, value in given.items():
        hint = form.hints[name]
        if type(value) is not hint and not _fits(value, hint):
            raise MalformedError(f"{form.make.kind}.{name} is of another type", source="evidence")
    return form.make(**given)


@cache
def _form(kind: str) -> _Form:
    make = kinds()[kind]
    listed = fields(make)
    hints = get_type_hints(make)
    return _Form(
        make,
        {one.name: hints[one.name] for one in listed},
        frozenset(one.name for one in listed if one.default is MISSING),
        tuple((one.name, one.default) for one in listed if one.name != "place"),
    )


def _frozen(value: object) -> object:
    return tuple(map(_frozen, value)) if type(value) is list else value


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
