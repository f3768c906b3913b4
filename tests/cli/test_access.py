"""`cairn access` on the data folder of a hub with a gated repo."""

import json
from pathlib import Path

import pytest

from cairn.bootstrap import open_house
from cairn.config import load_settings
from cairn.domain import Actor, RepoId, RepoType
from tests.cli.command import cairn

REPO = RepoId(RepoType.MODEL, "ann", "m")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Eve has asked for a gated repo of Ann's."""
    folder = tmp_path / "data"
    catalog = open_house(load_settings(data_dir=folder)).catalog
    people = {name: catalog.accounts.create_user(name) for name in ("ann", "eve", "bob")}
    catalog.repos.create(REPO, private=False)
    record = catalog.repos.update(REPO, gated="manual")
    eve = Actor(people["eve"])
    catalog.access_requests.ask(record, eve, "please", {"Company": "X"}, at_once=False)
    catalog.close()
    return folder


def test_requests_are_decided_and_listed(data: Path) -> None:
    told = json.loads(cairn("access", "list", "ann/m", "--json", data=data).stdout)
    assert (told[0]["message"], told[0]["answers"]) == ("please", {"Company": "X"})
    assert "eve accepted, asked 20" in cairn("access", "accept", "ann/m", "eve", data=data).stdout
    made = json.loads(cairn("access", "grant", "ann/m", "bob", "--json", data=data).stdout)
    assert (made["state"], made["was_asked"], made["decided_by"]) == ("accepted", False, "operator")
    cairn("access", "revoke", "ann/m", "eve", data=data)
    cairn("access", "revoke", "ann/m", "eve", data=data, expect=4)
    cairn("access", "reject", "ann/m", "bob", "--reason", "left the lab", data=data)
    listed = cairn("access", "list", "ann/m", data=data).stdout
    assert [line.split(",")[0] for line in listed.splitlines()] == ["eve pending", "bob rejected"]
    assert ": left the lab" in listed
    assert "eve" not in cairn("access", "list", "ann/m", "--state", "rejected", data=data).stdout
