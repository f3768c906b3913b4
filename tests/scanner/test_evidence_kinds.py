"""Evidence survives being kept: each kind comes back as it was, and nothing else is taken."""

import json
from dataclasses import fields
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from cairn.domain import Place
from cairn.errors import MalformedError
from cairn.scanner.evidence.base import Broken, Evidence
from cairn.scanner.evidence.kinds import MODULES, decode, encode, kinds

SAMPLES: dict[Any, Any] = {str: "x\ud800\x1b", int: 7, bool: True, float: 0.5}
PLACE = Place(("a.zip", "b"), 5, "/c")


def sample(hint: Any) -> Any:
    if hint is Place:
        return PLACE
    arguments = get_args(hint)
    if get_origin(hint) is tuple:
        return tuple(sample(one) for one in arguments if one is not ...)
    return sample(arguments[0]) if isinstance(hint, UnionType) else SAMPLES[hint]


@pytest.mark.parametrize("kind", kinds().values(), ids=lambda kind: kind.kind)
def test_every_kind_comes_back_as_it_was(kind: type[Evidence]) -> None:
    hints = get_type_hints(kind)
    whole = kind(**{field.name: sample(hints[field.name]) for field in fields(kind)})
    assert decode(json.loads(json.dumps(encode(whole)))) == whole


def test_no_two_kinds_share_a_name() -> None:
    classes = [
        one
        for module in MODULES
        for one in vars(module).values()
        if isinstance(one, type) and one.__module__ == module.__name__ and hasattr(one, "kind")
    ]
    assert len(classes) == len(kinds())


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "no-such-kind"},
        {"problem": 5},
        {"problem": None},
        {"more": 1},
        {"place": None},
        {"place": [["a"], "b", ""]},
        {"place": [[1], None, ""]},
    ],
)
def test_what_is_no_evidence_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        decode(json.loads(json.dumps({**encode(Broken(PLACE, "why")), **change})))


@pytest.mark.parametrize("told", [None, [], 5, {}, {"kind": "broken", "place": [[], None, ""]}])
def test_what_is_not_whole_is_refused(told: object) -> None:
    with pytest.raises(MalformedError):
        decode(told)
