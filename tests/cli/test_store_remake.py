"""`cairn store remake`: repos of a hub and names of a folder, kept for another use."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from cairn.bootstrap import open_house
from cairn.catalog import PutFile
from cairn.config import load_settings
from cairn.domain import Account, RepoId, RepoType
from cairn.workflows.folder_store import add_file, named_files, open_folder
from tests.cli.command import cairn

STEPS = 4


def series() -> list[bytes]:
    rng = np.random.default_rng(1)
    weights, files = rng.normal(0, 0.02, 60_000).astype(np.float32), []
    for _ in range(STEPS):
        files.append(save({"w": weights}))
        weights = (weights + rng.normal(0, 1e-4, len(weights))).astype(np.float32)
    return files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store of a series of steps, each made from the one before."""
    kept = open_folder(tmp_path / "kept", create=True)
    for number, data in enumerate(series()):
        path = tmp_path / f"step-{number}.safetensors"
        path.write_bytes(data)
        (file,) = named_files([path]).values()
        add_file(kept, path.name, file, replace=False, progress=lambda _: None)
    return tmp_path / "kept"


def depths(folder: Path) -> set[int]:
    return set(open_folder(folder).store.take_stock().by_depth())


def test_a_name_is_made_fast_and_another_time_nothing_is_done(folder: Path) -> None:
    wanted = (f"step-{STEPS - 1}.safetensors", "--profile", "fast", "--store", str(folder))
    assert depths(folder) == set(range(STEPS))
    done = json.loads(cairn("store", "remake", *wanted, "--json").stdout)
    assert (done["blobs"], done["remade"], done["damaged"]) == (1, 1, [])
    assert depths(folder) == set(range(STEPS - 1))
    assert "none is better kept for 'fast'" in cairn("store", "remake", *wanted).stdout


def test_all_chains_are_cut_to_a_depth(folder: Path) -> None:
    cairn("store", "remake", "--all", "--max-depth", "1", "--store", str(folder))
    assert depths(folder) == {0, 1}
    cairn("store", "remake", "--all", "--max-depth", "3", "--store", str(folder))
    assert depths(folder) == set(range(STEPS))  # each from the one before, remade before it
    store = open_folder(folder).store
    digests = [named.blob.digest for named in store.names.list()]
    assert {store.read_bytes(digest, 1 << 20) for digest in digests} == set(series())


def test_one_says_what_to_remake(folder: Path) -> None:
    refused = cairn("store", "remake", "--store", str(folder), expect=2)
    assert "name what to remake, or give --all" in refused.stderr


def test_a_revision_of_a_repo_is_made_fast(tmp_path: Path) -> None:
    data = tmp_path / "data"
    house = open_house(load_settings(data_dir=data))
    house.catalog.accounts.create_user("ann", full_name="Ann")
    repo = house.catalog.repos.create(RepoId(RepoType.MODEL, "ann", "run"), private=True)
    for file in series():
        blob = house.store.put_bytes(file)
        house.catalog.history.commit(
            repo.uid, "refs/heads/main", [PutFile("model.safetensors", blob, "0" * 40)],
            expected_parent=None, author=Account("ann", "Ann"), title="a step",
            when=datetime.now(UTC),
        )  # fmt: skip
    house.catalog.close()
    cairn("store", "optimize", data=data)
    done = json.loads(
        cairn("store", "remake", "ann/run@main", "--profile", "fast", "--json", data=data).stdout
    )
    assert (done["blobs"], done["remade"]) == (1, 1)
    house = open_house(load_settings(data_dir=data))
    assert list(house.store.kept_fast()) == [blob.digest]
    house.catalog.close()
