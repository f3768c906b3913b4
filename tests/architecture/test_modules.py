"""How modules look: named after what they know, small, with a first sentence, catching little."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.checkout import SOURCE, modules

NAMES_OF_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc", "tools", "stuff"}
MOST_LINES = 400
# The three rims of a process: the command line, a request, a round of the worker.
RIMS = {"cli/main.py", "hub/rim.py", "hub/lane.py"}


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def test_modules_are_named_after_what_they_know() -> None:
    def words(path: Path) -> set[str]:
        return {part.removesuffix(".py").strip("_") for part in path.relative_to(SOURCE).parts}

    assert [name_of(path) for path in modules() if words(path) & NAMES_OF_NOTHING] == []


def test_modules_can_be_read_in_one_sitting() -> None:
    lines = {name_of(path): len(path.read_text().splitlines()) for path in modules()}
    long = {name: count for name, count in lines.items() if count > MOST_LINES}
    assert long == {}, "find the noun that is missing"


def test_modules_start_with_a_sentence_on_what_they_know() -> None:
    def start(path: Path) -> str:
        return (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n\n")[0]

    without = [name_of(path) for path in modules() if "." not in start(path)]
    assert without == [], "no docstring, or its start is not a sentence"


def test_unexpected_errors_are_caught_only_at_the_rims() -> None:
    swallowing = [
        f"{name_of(path)}:{handler.lineno}"
        for path in modules()
        if name_of(path) not in RIMS
        for handler in swallowing_handlers(path.read_text())
    ]
    assert swallowing == [], "these catch everything; catch what you expect, or re-raise"


def test_the_list_of_rims_is_not_stale() -> None:
    assert {rim for rim in RIMS if not (SOURCE / rim).is_file()} == set()


@pytest.mark.parametrize(
    ("body", "caught"),
    [
        ("except Exception:\n    pass", True),
        ("except (ValueError, Exception) as e:\n    log(e)", True),
        ("except builtins.BaseException:\n    pass", True),
        ("except:\n    pass", True),
        ("except BaseException:\n    undo()\n    raise", False),
        ("except ValueError:\n    pass", False),
    ],
)
def test_the_search_for_catch_alls_finds_them(body: str, caught: bool) -> None:
    assert bool(list(swallowing_handlers(f"try:\n    f()\n{body}\n"))) is caught


def swallowing_handlers(source: str) -> Iterator[ast.ExceptHandler]:
    """Handlers that catch everything and do not end by raising it again."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ExceptHandler) and catches_all(node.type):
            last = node.body[-1]
            if not (isinstance(last, ast.Raise) and last.exc is None):
                yield node


def catches_all(kind: ast.expr | None) -> bool:
    match kind:
        case None:
            return True
        case ast.Tuple(elts=elements):
            return any(catches_all(element) for element in elements)
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in ("Exception", "BaseException")
    return False
