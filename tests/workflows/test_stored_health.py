"""Health on a hub: each blob is measured once, in the background, and found by what it holds."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from cairn.domain import RepoId, Trouble
from cairn.workflows.inspect import inspect_repo
from cairn.workflows.maintain import collect_garbage
from cairn.workflows.optimize import optimize_pending
from cairn.workflows.plain_statistics import SCHEMA
from cairn.workflows.repos import delete_repo
from cairn.workflows.stored_health import KnownHealth, known_health, measure_pending
from tests.hub.web.homes import Home, open_home

HEALTHY = np.random.default_rng(0).normal(size=(16, 8)).astype("<f4")
SICK = np.where(HEALTHY > 2, np.nan, HEALTHY)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    with open_home(tmp_path) as opened:
        yield opened


def always() -> bool:
    return True


def known(home: Home, repo_id: RepoId) -> KnownHealth:
    checkpoint = inspect_repo(home.house, home.ada, repo_id)
    revision = home.house.catalog.history.resolve(home.house.catalog.repos.get(repo_id).uid, "main")
    entries = home.house.catalog.history.manifest(revision.tree).entries
    return known_health(home.house, checkpoint, entries)


def test_pushed_weights_are_measured_once_for_all_repos_that_hold_them(home: Home) -> None:
    files = {"model.safetensors": save({"w": HEALTHY, "n": SICK}), "README.md": b"# hello"}
    repos = [home.repo("ada/one", files), home.repo("ada/two", files)]
    assert known(home, repos[0]).waiting == ("model.safetensors",)
    done = list(measure_pending(home.house, always))
    assert len(done) == len(set(done))
    assert list(measure_pending(home.house, always)) == []
    for repo_id in repos:
        found = known(home, repo_id)
        assert found.waiting == ()
        healthy = found.tensors["model.safetensors", "w"]
        assert healthy.statistics is not None
        assert healthy.statistics.mean == pytest.approx(HEALTHY.mean(dtype=float))
        assert found.tensors["model.safetensors", "n"].troubles == (Trouble.NAN,)


def test_optimized_blobs_measure_as_raw_ones_do(home: Home) -> None:
    large = np.tile(HEALTHY, (64, 64))
    repo_id = home.repo("ada/one", {"model.safetensors": save({"w": large})})
    assert any(done.rewritten for done in optimize_pending(home.house, pytest.fail))
    assert list(measure_pending(home.house, always))
    found = known(home, repo_id).tensors["model.safetensors", "w"].statistics
    assert found is not None
    assert found.maximum == HEALTHY.max()


def test_a_pass_that_is_told_to_stop_keeps_nothing_of_the_blob_in_hand(home: Home) -> None:
    repo_id = home.repo("ada/one", {"model.safetensors": save({"w": HEALTHY, "v": HEALTHY})})
    answers = iter([True, False])
    list(measure_pending(home.house, lambda: next(answers)))
    assert known(home, repo_id).waiting == ("model.safetensors",)
    assert list(measure_pending(home.house, always))
    assert len(known(home, repo_id).tensors) == 2


def test_a_file_that_is_no_checkpoint_is_not_looked_at_again(home: Home) -> None:
    home.repo("ada/one", {"model.bin": b"PK\3\4 not a zip", "notes.txt": b"text"})
    assert list(measure_pending(home.house, always))
    assert list(measure_pending(home.house, always)) == []


def test_garbage_collection_takes_the_notes_of_blobs_nobody_has(home: Home) -> None:
    gone = home.repo("ada/one", {"model.safetensors": save({"w": SICK})})
    kept = home.repo("ada/two", {"model.safetensors": save({"w": HEALTHY})})
    assert list(measure_pending(home.house, always))
    revision = home.house.catalog.history.resolve(home.house.catalog.repos.get(gone).uid, "main")
    entry = home.house.catalog.history.manifest(revision.tree).entries["model.safetensors"]
    assert home.house.catalog.blob_health.get([entry.blob.digest], SCHEMA)
    delete_repo(home.house, home.ada, gone)
    collect_garbage(home.house, grace_s=0)
    assert home.house.catalog.blob_health.get([entry.blob.digest], SCHEMA) == {}
    assert known(home, kept).waiting == ()
