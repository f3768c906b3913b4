"""Inspect on a repo of a house: the same answer as for the folder it was pushed from."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from cairn.bootstrap import open_house
from cairn.catalog import PutFile
from cairn.catalog.gitobjects import blob_oid
from cairn.cli.main import app
from cairn.config import Settings
from cairn.domain import ANONYMOUS, Account, Actor, RepoId, RepoType
from cairn.errors import RepoNotFoundError, RevisionNotFoundError
from cairn.formats import read_layout
from cairn.workflows.house import House
from cairn.workflows.inspect import inspect_path, inspect_repo
from tests.formats.making import saved
from tests.workflows.test_inspect import MINILM

ANN = Account("ann", "Ann")
REPO = RepoId(RepoType.MODEL, "ann", "mini")
FILES = {
    "model.safetensors": MINILM / "model.safetensors",
    "config.json": MINILM / "config.json",
    "extra/optimizer.pt": None,
}
OPTIMIZER = {"state": {}, "param_groups": [{"lr": 0.25}]}


@pytest.fixture
def house(tmp_path: Path) -> House:
    opened = open_house(Settings(data_dir=tmp_path / "data"))
    opened.catalog.accounts.create_user("ann", full_name="Ann")
    repo = opened.catalog.repos.create(REPO, private=True)
    changes = []
    for path, source in FILES.items():
        data = source.read_bytes() if source else saved(OPTIMIZER)
        oid = blob_oid(len(data))
        oid.update(data)
        changes.append(PutFile(path, opened.store.put_bytes(data), oid.hexdigest()))
    opened.catalog.history.commit(
        repo.uid,
        "refs/heads/main",
        changes,
        expected_parent=None,
        author=ANN,
        title="push",
        when=datetime.now(UTC),
    )
    return opened


def test_a_repo_reads_like_the_folder(house: House) -> None:
    found = inspect_repo(house, Actor(ANN), REPO)
    local = inspect_path(MINILM)
    assert found.layouts["model.safetensors"] == local.layouts["model.safetensors"]
    assert found.architecture == local.architecture
    assert found.layouts["extra/optimizer.pt"].metadata["param_groups.0.lr"] == 0.25
    assert found.name.startswith("ann/mini@")


def test_it_reads_the_same_after_optimize(house: House) -> None:
    before = inspect_repo(house, Actor(ANN), REPO)
    for digest in list(house.store.pending()):
        with house.store.open(digest) as source:
            layout = read_layout(source) if source.size_bytes > 1_000_000 else None
        house.store.optimize(digest, layout)
    assert inspect_repo(house, Actor(ANN), REPO) == replace(before)


def test_private_repos_and_unknown_revisions_are_not_found(house: House) -> None:
    with pytest.raises(RepoNotFoundError):
        inspect_repo(house, ANONYMOUS, REPO)
    with pytest.raises(RevisionNotFoundError):
        inspect_repo(house, Actor(ANN), REPO, "no-such-branch")


def test_the_command_takes_a_repo_id(house: House, tmp_path: Path) -> None:
    arguments = ["inspect", "ann/mini@main", "--data", str(tmp_path / "data")]
    result = CliRunner().invoke(app, arguments)
    assert result.exception is None
    assert "22,713,216" in result.output
    assert "bert" in result.output
