"""Documents say what is there: commands, settings, words, paths and links are checked."""

import re
import tomllib
from collections.abc import Iterator
from itertools import chain

import click
import pytest
from packaging.requirements import Requirement

import cairn.domain
from cairn.cli.main import app
from cairn.config import Settings
from scripts import rules_page
from scripts.settings_table import document
from tests.architecture.checkout import ROOT, SOURCE, documents, modules, texts

CODE = re.compile(r"^ *```[a-z]*\n(.*?)^ *```|`([^`\n]+)`", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"(?:^|[\s/$(])cairn +([a-z][a-z-]*)(?: +([a-z][a-z-]*))?(?![\w/])")
OWN_PATH = re.compile(r"^(?:src|tests|docs|scripts|benchmarks|\.ci)/[\w./-]*[\w/]$")
OWN_DOCUMENT = re.compile(r"(?<![\w/])docs/[\w/-]+\.md")
LINK = re.compile(r"\]\(([^)\s]+)\)")
SETTING = re.compile(r"\bCAIRN_[A-Z_]+\b")
# Read outside the settings: where to find them, and what the scripts and tests take.
OTHER_VARIABLES = {"CAIRN_CONFIG", "CAIRN_CHROMIUM", "CAIRN_PYTHON", "CAIRN_RUN"}
# Rooms of the design that have no code yet; ARCHITECTURE.md says so.
NOT_BUILT = {"governance", "evaluation", "deployment"}


def test_documents_name_only_commands_that_exist() -> None:
    known = subcommands(app)
    unknown = [
        f"{name}: {first} {second}"
        for name, text in documents().items()
        for first, second in commands_named_in(text)
        if not is_command(known, first, second)
    ]
    assert unknown == []


def is_command(known: dict[str, click.Command], first: str, second: str) -> bool:
    if first not in known:
        return False
    below = subcommands(known[first])
    return not below or not second or second in below


def test_documents_name_only_settings_that_exist() -> None:
    known = {f"CAIRN_{field.upper()}" for field in Settings.model_fields} | OTHER_VARIABLES
    named = {(name, one) for name, text in documents().items() for one in SETTING.findall(text)}
    assert {(name, one) for name, one in named if one not in known} == set()


def test_paths_in_documents_exist() -> None:
    spans = [(name, span) for name, text in documents().items() for _, span in CODE.findall(text)]
    missing = [(n, s) for n, s in spans if OWN_PATH.match(s) and not (ROOT / s).exists()]
    assert missing == []


def test_documents_named_in_the_source_exist() -> None:
    named = {
        (path.relative_to(SOURCE).as_posix(), document)
        for path in modules()
        for document in OWN_DOCUMENT.findall(path.read_text())
    }
    assert {one for one in named if not (ROOT / one[1]).exists()} == set()


def test_links_between_documents_lead_somewhere() -> None:
    dead = [
        (name, target)
        for name, text in documents().items()
        for target in LINK.findall(text)
        if not re.match(r"[a-z]+:|#", target)
        and not ((ROOT / name).parent / target.partition("#")[0]).exists()
    ]
    assert dead == []


def test_the_table_of_settings_is_the_settings() -> None:
    current = (ROOT / "docs/settings.md").read_text()
    assert current == document(), "run: .venv/bin/python scripts/settings_table.py"


def test_the_page_of_rules_is_the_rules() -> None:
    current = (ROOT / "docs/security/rules.md").read_text()
    assert current == rules_page.document(), "run: python -m scripts.rules_page"


def test_the_glossary_explains_every_noun() -> None:
    glossary = texts()["docs/glossary.md"]
    explained = set(re.findall(r"^\*\*`?(\w+)`?\*\*", glossary, re.MULTILINE))
    nouns = {n for n in cairn.domain.__all__ if isinstance(getattr(cairn.domain, n), type)}
    assert nouns - explained == set()


def test_the_glossary_is_sorted_within_its_chapters() -> None:
    for chapter in texts()["docs/glossary.md"].split("\n## ")[1:]:
        terms = [t.lower() for t in re.findall(r"^\*\*`?([^*`]+)`?\*\*", chapter, re.MULTILINE)]
        assert terms == sorted(terms)


def test_the_code_map_names_every_room_and_no_other() -> None:
    rooms = {p.stem for p in SOURCE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    rooms -= {"__init__", "__pycache__"}
    text = texts()["ARCHITECTURE.md"]
    chapter = text.partition("## Code map")[2].partition("\n## ")[0]
    mapped = set(re.findall(r"^\| `(\w+)", chapter, re.MULTILINE))
    assert mapped == rooms
    assert not NOT_BUILT & rooms
    absent = text.partition("## Not built yet")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)", absent, re.MULTILINE)) == NOT_BUILT


def test_every_decision_is_in_the_index() -> None:
    index = texts()["docs/decisions/README.md"]
    notes = {path.name for path in (ROOT / "docs/decisions").glob("[0-9]*.md")}
    assert {note for note in notes if f"({note})" not in index} == set()


def dependencies() -> list[str]:
    """Every requirement in pyproject.toml, those of extras too."""
    project = tomllib.loads(texts()["pyproject.toml"])["project"]
    return [*project["dependencies"], *chain(*project["optional-dependencies"].values())]


def test_every_dependency_has_a_lower_bound() -> None:
    def bounds(line: str) -> set[str]:
        return {one.operator for one in Requirement(line).specifier}

    unbound = [line for line in dependencies() if bounds(line) not in ({">="}, {"=="})]
    assert unbound == [], "an older release may have holes that were closed since"


def test_every_dependency_is_explained_with_its_licence() -> None:
    names = {Requirement(line).name.lower() for line in dependencies()}
    note = texts()["docs/decisions/0002-dependencies.md"]
    rows = re.findall(r"^\| ([\w.-]+) \| [\w.]+ \| ([^|]+) \|", note, re.MULTILINE)
    assert {name for name, licence in rows if not licence.strip()} == set()
    explained = {name.lower() for name, _ in rows}
    assert names - explained == set()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Run `cairn serve --data DIR`.", [("serve", "")]),
        ("```sh\ncairn token create NAME\n```", [("token", "create")]),
        ("`.venv/bin/cairn store gc`", [("store", "gc")]),
        ("cairn builds houses", []),
        ("`import cairn`", []),
    ],
)
def test_the_search_for_commands_finds_them(text: str, found: list[tuple[str, str]]) -> None:
    assert list(commands_named_in(text)) == found


def commands_named_in(text: str) -> Iterator[tuple[str, str]]:
    for block, inline in CODE.findall(text):
        yield from COMMAND.findall(block or inline)


def subcommands(command: click.Command) -> dict[str, click.Command]:
    if not isinstance(command, click.Group):
        return {}
    ctx = click.Context(command)
    found = {name: command.get_command(ctx, name) for name in command.list_commands(ctx)}
    return {name: below for name, below in found.items() if below is not None}
