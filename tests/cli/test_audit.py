"""`cairn audit`: who did what, and the search behind it."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from cairn.bootstrap import open_house
from cairn.catalog import open_catalog
from cairn.config import load_settings
from cairn.domain import Scope
from tests.catalog.conftest import Clock
from tests.cli.command import cairn


def test_what_was_done_in_the_shell_is_listed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    open_house(load_settings(data_dir=data)).catalog.close()
    cairn("user", "add", "ann", "--password-stdin", data=data, stdin="a sentence nobody knows")
    cairn("token", "create", "ann", "--grant", "read:ann", data=data)
    listed = json.loads(cairn("audit", "--json", data=data).stdout)
    assert [(row["actor"], row["action"], row["detail"]) for row in listed] == [
        ("system", "token.create", "ann/default (fineGrained read:ann)"),
        ("system", "password.change", "ann"),
        ("system", "user.create", "ann"),
    ]
    shown = cairn("audit", "--action", "token", data=data).stdout
    assert "token.create" in shown and "password" not in shown


@pytest.mark.parametrize(
    ("filters", "found", "old"),
    [
        ({}, ["session.start", "token.revoke", "token.create", "token.create", "user.create"], 2),
        ({"limit": 1}, ["session.start"], 0),
        ({"action": "token"}, ["token.revoke", "token.create", "token.create"], 1),
        ({"action": "token.create"}, ["token.create", "token.create"], 1),
        ({"action": "tok"}, [], 0),
        ({"action": "%"}, [], 0),
        ({"actor": "ada"}, ["session.start"], 0),
        ({"actor": "system", "action": "token.revoke"}, ["token.revoke"], 0),
        ({"repo": "ada/m"}, [], 0),
    ],
)
def test_actions_are_found_by_who_what_and_when(
    tmp_path: Path, filters: dict, found: list[str], old: int
) -> None:
    clock = Clock()
    catalog = open_catalog(f"sqlite:///{tmp_path / 'c.db'}", clock=clock)
    catalog.accounts.create_user("ada")
    catalog.tokens.create("ada", "one", Scope.READ)
    clock.advance(days=2)
    catalog.tokens.create("ada", "two", Scope.READ)
    catalog.tokens.revoke("ada", "two")
    catalog.sessions.start("ada", "password")
    assert [row.action for row in catalog.audit.search(**filters)] == found
    since = clock() - timedelta(days=1)
    late = [row.action for row in catalog.audit.search(since=since, **filters)]
    assert late == found[: len(found) - old]
    catalog.close()
