"""Reports on weights that are kept: what they hold, and that they name nobody."""

import json

import numpy as np
from safetensors.numpy import save

from cairn.workflows.inspect import read_tree
from cairn.workflows.kept_weights import any_pending, asked, judge_pending, known
from cairn.workflows.maintain import collect_garbage
from cairn.workflows.weights import judge
from cairn.workflows.weights_description import describe_weights
from tests.hub.web.homes import open_home
from tests.workflows.test_weights import base_state, tuned


def test_what_is_kept_is_what_judging_at_once_tells_without_names(tmp_path) -> None:
    with open_home(tmp_path) as home:
        odd = tuned(9, trigger=1.0) | {"layers.1.bias": np.full(48, np.nan, "<f4")}
        repo = home.repo("ada/m")
        states = (base_state(), odd)
        before, after = (home.commit(repo, {"m.safetensors": save(one)}).tree for one in states)
        assert known(home.house, (before, after)) is None, "nothing was asked for"
        assert not any_pending(home.house)
        assert asked(home.house, (before, after)) is not None
        assert any_pending(home.house)
        waits: list[int] = []
        assert list(judge_pending(home.house, lambda: waits.append(1))) == [(before, after)]
        assert waits, "others are let in between tensors"
        kept = known(home.house, (before, after))
        assert kept is not None
        left, right = (read_tree(home.house, tree) for tree in (before, after))
        told = json.loads(json.dumps(describe_weights(judge(left, right))))
        for key in ("numbers", "facts", "tensors", "unchanged", "unknown", "looks_merged"):
            assert kept[key] == told[key], key
        assert kept["evidence"]["score"] == told["evidence"]["score"]
        assert not {"base", "model", "siblings"} & set(kept)
        assert kept["summary"] == told["summary"][:-1], "all but the sentence about siblings"
        home.house.catalog.repos.delete(repo)
        collect_garbage(home.house, 0)
        assert known(home.house, (before, after)) is None, "trees of no revision are forgotten"
