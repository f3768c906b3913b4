"""What the store keeps once is equal without being read, whichever way it is kept."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from cairn.workflows.diff import bytes_to_compare, compare, pairing_of
from cairn.workflows.inspect import read_repo
from cairn.workflows.optimize import optimize_pending
from cairn.workflows.readable import ReadableCheckpoint
from cairn.workflows.tensor_changes import Verdict
from tests.hub.web.homes import Home, open_home

KEPT = np.tile(np.random.default_rng(0).normal(size=(16, 8)), (16, 16)).astype("<f4")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    with open_home(tmp_path) as opened:
        yield opened


def both(
    home: Home, before: dict[str, bytes], after: dict[str, bytes]
) -> tuple[ReadableCheckpoint, ReadableCheckpoint]:
    repo_id = home.repo("ada/m")
    revisions = [home.commit(repo_id, files).id for files in (before, after)]
    return tuple(read_repo(home.house, home.ada, repo_id, one) for one in revisions)


def no_reading(*_: object) -> None:
    pytest.fail("values were read")


def test_tensors_of_a_file_that_did_not_change_are_equal_and_not_read(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = {"model.safetensors": save({"w": KEPT, "n": np.full(3, np.nan, "<f4")})}
    left, right = both(home, weights, {"notes.txt": b"more"})
    pairing = pairing_of(left, right)
    assert bytes_to_compare(pairing) == 0
    monkeypatch.setattr(ReadableCheckpoint, "blocks", no_reading)
    found = compare(left, right, pairing)
    assert [change.verdict for change in found.tensors] == [Verdict.EQUAL] * 2
    headers = compare(left, right, pairing, values=False)
    assert [change.verdict for change in headers.tensors] == [Verdict.EQUAL] * 2


def test_of_a_file_kept_as_tensors_only_those_that_changed_are_read(home: Home) -> None:
    small = np.arange(4096, dtype="<f4")
    before = {"model.safetensors": save({"w": KEPT, "b": small})}
    after = {"model.safetensors": save({"a": small, "w": KEPT, "b": small + 1})}
    left, right = both(home, before, after)
    assert bytes_to_compare(pairing_of(left, right)) == 2 * (KEPT.nbytes + small.nbytes)
    assert sum(done.rewritten for done in optimize_pending(home.house, pytest.fail)) == 2
    pairing = pairing_of(left, right)
    assert bytes_to_compare(pairing) == 2 * small.nbytes
    verdicts = {c.pair.after.name: c.verdict for c in compare(left, right, pairing).tensors}
    assert verdicts == {"w": Verdict.EQUAL, "b": Verdict.CHANGED}


def test_a_tensor_of_another_shape_is_not_taken_for_the_same(home: Home) -> None:
    before = {"model.safetensors": save({"w": KEPT})}
    after = {"model.safetensors": save({"w": KEPT.reshape(128, 256)})}
    left, right = both(home, before, after)
    assert sum(done.rewritten for done in optimize_pending(home.house, pytest.fail)) == 2
    pairing = pairing_of(left, right)
    assert not any(pair.is_same for pair in pairing.pairs)
    (change,) = compare(left, right, pairing).tensors
    assert change.verdict is Verdict.RESHAPED


def test_equal_files_of_two_repos_are_equal(home: Home) -> None:
    files = {"model.safetensors": save({"w": KEPT})}
    one, two = (home.repo(name, files) for name in ("ada/one", "ada/two"))
    sides = [read_repo(home.house, home.ada, repo_id) for repo_id in (one, two)]
    assert bytes_to_compare(pairing_of(*sides)) == 0
