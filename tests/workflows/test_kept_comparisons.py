"""A comparison done in the background says what one done at once says."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from cairn.domain import RepoId
from cairn.errors import MalformedError
from cairn.workflows.diff import compare, pairing_of
from cairn.workflows.diff_description import describe_difference
from cairn.workflows.inspect import read_tree
from cairn.workflows.kept_comparisons import SCHEMA, asked, compare_pending, kept_difference
from tests.hub.web.homes import Home, open_home

RANDOM = np.random.default_rng(0)
WEIGHTS = RANDOM.normal(size=(64, 32)).astype("<f4")
LOW_RANK = (RANDOM.normal(size=(64, 1)) @ RANDOM.normal(size=(1, 32))).astype("<f4")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    with open_home(tmp_path) as opened:
        yield opened


def two_trees(home: Home, repo_id: RepoId) -> tuple[str, str]:
    before = {
        "w": WEIGHTS,
        "half": WEIGHTS,
        "old.name": WEIGHTS[:7],
        "gone": WEIGHTS[:2],
        "nan": np.full(3, np.nan, "<f4"),
        "rows": WEIGHTS[:9],
    }
    after = {
        "w": WEIGHTS + LOW_RANK,
        "half": WEIGHTS.astype("<f2"),
        "new.name": WEIGHTS[:7],
        "here": WEIGHTS[:3],
        "nan": np.array([1, np.inf, np.nan], "<f4"),
        "rows": WEIGHTS[:12],
    }
    files = ({"model.safetensors": save(side)} for side in (before, after))
    trees = [home.commit(repo_id, one).tree for one in files]
    return trees[0], trees[1]


def test_what_is_kept_tells_the_same_as_comparing_at_once(home: Home) -> None:
    trees = two_trees(home, home.repo("ada/m"))
    left, right = (read_tree(home.house, tree) for tree in trees)
    at_once = describe_difference(compare(left, right, pairing_of(left, right)))
    assert asked(home.house, trees, 1) is not None
    waits: list[int] = []
    assert list(compare_pending(home.house, lambda: waits.append(1))) == [trees]
    assert len(waits) == len(at_once["tensors"])
    kept = home.house.catalog.comparisons.get(trees, SCHEMA)
    assert kept is not None
    assert kept.content is not None
    assert kept.done_bytes <= kept.total_bytes
    found = describe_difference(kept_difference(left, right, kept.content))
    assert json.dumps(found, sort_keys=True) == json.dumps(at_once, sort_keys=True)
    ranks = [one["values"]["rank"] for one in found["tensors"] if one["name"] == "w"]
    assert ranks[0]["rank"] == 1


def test_a_damaged_side_fails_with_the_reason_and_the_next_one_is_done(home: Home) -> None:
    trees = two_trees(home, home.repo("ada/m"))
    lost = ("00" * 32, trees[1])
    for pair in (lost, trees):
        asked(home.house, pair, 1)
    assert list(compare_pending(home.house, lambda: None)) == [lost, trees]
    known = asked(home.house, lost, 1)
    assert known is not None
    assert known.failure
    known = asked(home.house, trees, 1)
    assert known is not None
    assert known.content


@pytest.mark.parametrize(
    "content", ["{}", "[]", "no", '{"pairs": [["x", "y", "equal", null, ""]]}']
)
def test_content_of_another_form_is_refused(home: Home, content: str) -> None:
    trees = two_trees(home, home.repo("ada/m"))
    sides = [read_tree(home.house, tree) for tree in trees]
    with pytest.raises(MalformedError, match="another form"):
        kept_difference(*sides, content)
