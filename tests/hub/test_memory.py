"""The hub's memory for answers is bounded and never mixes keys up."""

import pytest

from cairn.hub.memory import Memory


def test_a_remembered_value_is_not_made_again() -> None:
    memory = Memory[str](10, len)
    assert memory.get("a", lambda: "one") == "one"
    assert memory.get("a", lambda: "two") == "one"


def test_what_was_asked_for_longest_ago_goes_first() -> None:
    memory = Memory[str](6, len)
    memory.get("a", lambda: "aaa")
    memory.get("b", lambda: "bbb")
    memory.get("a", lambda: "never")
    memory.get("c", lambda: "ccc")
    assert memory.weight == 6
    assert memory.get("a", lambda: "made again") == "aaa"
    assert memory.get("b", lambda: "new") == "new"


def test_one_value_too_heavy_for_the_limit_is_held_alone() -> None:
    memory = Memory[str](6, len)
    memory.get("a", lambda: "aaa")
    memory.get("b", lambda: "b" * 100)
    assert memory.weight == 100
    memory.get("c", lambda: "c")
    assert memory.weight == 1


def test_a_failure_is_not_remembered() -> None:
    memory = Memory[int](6, lambda _: 1)
    with pytest.raises(ZeroDivisionError):
        memory.get("a", lambda: 1 // 0)
    assert memory.get("a", lambda: 7) == 7
