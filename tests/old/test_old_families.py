"""Family files written by every released format are read, verified and imported."""

import base64
import json
from pathlib import Path

import pytest

from cairn.bootstrap import open_house
from cairn.config import Settings
from cairn.store import FamilyContents, FamilyFile
from cairn.store.family_file import VERSION
from cairn.workflows.family_names import import_names
from cairn.workflows.family_repos import import_repos
from tests.old.make_family import REPO, STORE_VERSION, fixture
from tests.old.make_store import contents

every_version = pytest.mark.parametrize("version", range(1, VERSION + 1))


def unseen(done: int) -> None:
    """Progress that nobody looks at."""


@every_version
def test_an_old_family_gives_back_its_names_and_commits(version: int, tmp_path: Path) -> None:
    kept = json.loads(fixture(version).read_text())
    path = tmp_path / "old.cairn"
    path.write_bytes(base64.b64decode(kept["file"]))
    house = open_house(Settings(data_dir=tmp_path / "data"))
    house.catalog.accounts.create_user("ann")
    with FamilyFile(path) as file:
        file.check(unseen)
        family = FamilyContents(file)
        family.verify(unseen)
        import_names(house.store, family, progress=unseen)
        import_repos(house, family, progress=unseen)
    files = contents(STORE_VERSION)
    named = {n.name: (n.blob, dict(n.metadata)) for n in house.store.names.list()}
    assert {name: metadata for name, (_, metadata) in named.items()} == {
        name: {"name": name} for name in files
    }
    assert {n: house.store.read_bytes(b.digest, 1 << 20) for n, (b, _) in named.items()} == files
    record = house.catalog.repos.get(REPO)
    assert (record.private, record.head) == (True, kept["commit"])
    revision = house.catalog.history.resolve(record.uid, kept["commit"])
    held = house.catalog.history.manifest(revision.tree).entries
    assert {path: entry.blob for path, entry in held.items()} == {
        n: b for n, (b, _) in named.items()
    }
    assert set(house.store.stats().by_codec) >= {"same", "cast", "planes", "zstd"}
