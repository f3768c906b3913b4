"""The page and endpoint that compare two revisions: what they say, and to whom."""

import json
import re

import numpy as np

from cairn.domain import RepoId, RepoType
from cairn.hub import comparisons
from cairn.hub.web import compare
from tests.hub.web.homes import safetensors


def _model(change: float) -> bytes:
    weights = np.random.default_rng(1).normal(size=(8, 8)).astype("<f4")
    moved = (weights + np.float32(change)).astype("<f4")
    shape = ("F32", (8, 8))
    return safetensors(
        {
            "layer.0.query.weight": (*shape, moved.tobytes()),
            "layer.1.query.weight": (*shape, weights.tobytes()),
        }
    )


def _two_revisions(home, name="ada/model", *, private=False):
    repo = home.repo(name, private=private)
    files = {"model.safetensors": _model(0.0), "config.json": b'{"dropout": 0.1}'}
    first = home.commit(repo, files)
    files = {"model.safetensors": _model(0.5), "config.json": b'{"dropout": 0.25}'}
    return first.id, home.commit(repo, files).id


def test_the_page_says_which_tensor_and_which_setting_changed(home):
    before, after = _two_revisions(home)
    page = home.page(f"/ada/model/compare/{before}...{after}")
    table = page.partition("<tbody>")[2].partition("</tbody>")[0]
    assert "query" in table
    assert table.count("<tr>") == 1
    assert "dropout from 0.1 to 0.25" in page
    assert "<title>layer.0" in page
    assert f'name="before" value="{before}"' in page  # a short id would not resolve


def test_a_revision_compared_with_itself_differs_in_nothing(home):
    _two_revisions(home)
    page = home.page("/ada/model/compare/main...main")
    assert "Nothing differs." in page
    assert "<title>layer" not in page


def test_the_endpoint_gives_the_same_as_data(home):
    before, after = _two_revisions(home)
    path = f"/api/cairn/models/ada/model/compare/{before}...{after}"
    told = home.client.get(path).json()
    assert (told["before"], told["after"], told["same"]) == (before, after, False)
    assert [tensor["name"] for tensor in told["tensors"]] == ["layer.0.query.weight"]
    assert told["tensors"][0]["values"]["changed_fraction"] == 1.0


def test_values_of_large_checkpoints_are_left_alone_and_the_page_says_so(home, monkeypatch):
    before, after = _two_revisions(home)
    monkeypatch.setattr(comparisons, "MAX_VALUE_BYTES", 100)
    page = home.page(f"/ada/model/compare/{before}...{after}")
    assert "Values were not compared" in page
    assert f"cairn diff ada/model@{before} ada/model@{after}" in page
    told = home.client.get(f"/api/cairn/models/ada/model/compare/{before}...{after}").json()
    assert told["values_compared"] is False


def test_a_private_repo_is_not_there_for_strangers_even_once_remembered(home):
    _two_revisions(home, "ada/secret", private=True)
    path = "/ada/secret/compare/main...main"
    assert "secret" in home.page(path, token=home.token)
    other = "/ada/nothing/compare/main...main"
    missing = home.page(other, token=home.stranger_token, status=404)
    refused = home.page(path, token=home.stranger_token, status=404)
    request_id = r"[0-9a-f]{32}"
    told = re.sub(request_id, "", refused).replace("secret", "nothing")
    assert told == re.sub(request_id, "", missing)
    answer = home.client.get(f"/api/cairn/models{path}")
    assert answer.status_code in (401, 404)
    assert "dropout" not in json.dumps(answer.json())


def test_equal_trees_of_another_repo_are_not_named(home):
    _two_revisions(home, "ada/secret", private=True)
    home.page("/ada/secret/compare/main...main", token=home.token)
    _two_revisions(home, "ada/open")
    assert "secret" not in home.page("/ada/open/compare/main...main")
    told = home.client.get("/api/cairn/models/ada/open/compare/main...main")
    assert "secret" not in told.text


def test_addresses_that_name_no_two_revisions_are_refused(home):
    _two_revisions(home)
    home.page("/ada/model/compare/main", status=400)
    home.page("/ada/model/compare/main...", status=400)
    home.page("/ada/model/compare/main...nowhere", status=404)


def test_the_form_leads_to_the_page_of_both_revisions(home):
    _two_revisions(home)
    answer = home.client.get(
        "/ada/model/compare?before=feature/x&after=main", follow_redirects=False
    )
    assert answer.headers["location"] == "/ada/model/compare/feature%2Fx...main"


def test_a_commit_links_to_the_comparison_with_its_parent(home):
    before, after = _two_revisions(home)
    assert f"/compare/{before}...{after}" in home.page(f"/ada/model/commit/{after}")


def test_an_unreadable_file_is_named_and_not_called_the_same(home):
    repo = home.repo("ada/broken", {"model.safetensors": b"not one"})
    home.commit(repo, {"README.md": b"# Broken"})
    page = home.page("/ada/broken/compare/main...main")
    assert "could not be read" in page
    assert "Nothing differs" not in page


def test_the_tensors_that_changed_are_filtered_by_name_and_paged(home, monkeypatch):
    repo = home.repo("ada/model")
    shape = ("F32", (1,))
    for value in (b"\0\0\x80\x3f", b"\0\0\0\x40"):
        tensors = {f"layer.{at}.weight": (*shape, value) for at in range(5)}
        home.commit(repo, {"model.safetensors": safetensors(tensors)})
    parent, now = _last_two(home)
    path = f"/ada/model/compare/{parent}...{now}"
    monkeypatch.setattr(compare, "MAX_ROWS", 2)
    assert "1 to 2 of 5" in home.page(path)
    assert "5 to 5 of 5" in home.page(f"{path}?start=4")
    assert "1 to 2 of 5" in home.page(f"{path}?start=no")
    table = home.page(f"{path}?q=layer.3").partition("<tbody>")[2].partition("</tbody>")[0]
    assert table.count("<tr>") == 1
    assert "No tensor that changed" in home.page(f"{path}?q=nothing")


def _last_two(home):
    record = home.house.catalog.repos.get(RepoId.parse(RepoType.MODEL, "ada/model"))
    now = home.house.catalog.history.resolve(record.uid, "refs/heads/main")
    return now.parents[0], now.id


def test_training_tokenizer_and_other_files_are_shown(home):
    repo = home.repo("ada/model", {"vocab.txt": b"a\nb\n", "notes.csv": b"1"})
    first = {"model.safetensors": _model(0.0), "trainer_state.json": b'{"global_step": 10}'}
    before = home.commit(repo, first).id
    second = {
        "vocab.txt": b"a\nb\nc\n",
        "notes.csv": b"2",
        "trainer_state.json": b'{"global_step": 20}',
    }
    page = home.page(f"/ada/model/compare/{before}...{home.commit(repo, second).id}")
    for heading in ("Tokenizer", "Training", "Other files"):
        assert f">{heading}</h2>" in page


def test_a_repo_without_tensors_is_compared_by_its_files(home):
    repo = home.repo("ada/notes", {"a.csv": b"1", "b.csv": b"1"})
    before = home.page("/ada/notes/compare/main...main")
    assert "Nothing differs." in before
    home.commit(repo, {"a.csv": b"2"})
    assert "/ada/notes/compare" in home.page("/ada/notes/commits/main")
