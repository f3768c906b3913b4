"""The page and endpoint that compare two revisions: what they say, and to whom."""

import json
import re

import numpy as np
import pytest
import torch
from safetensors.numpy import save

from cairn.catalog import comparisons as waiting_comparisons
from cairn.domain import RepoId, RepoType
from cairn.hub import comparisons
from cairn.hub.web import compare
from cairn.workflows.kept_comparisons import compare_pending
from tests.formats.making import saved
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
    assert f'<option value="{before}" selected>' in page  # a short id would not resolve


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


def test_large_values_are_compared_in_the_background_and_kept(home, monkeypatch):
    before, after = _two_revisions(home)
    monkeypatch.setattr(comparisons, "MAX_VALUE_BYTES", 100)
    path = f"/ada/model/compare/{before}...{after}"
    page = home.page(path)
    assert "being compared in the background" in page
    assert '<meta http-equiv="refresh"' in page
    assert "dropout from 0.1 to 0.25" in page
    answer = home.client.get(f"/api/cairn/models{path}")
    assert (answer.status_code, answer.headers["retry-after"]) == (202, "3")
    told = answer.json()
    assert (told["values_compared"], told["waiting"]["total_bytes"]) == (False, 4 * 256)
    assert len(list(compare_pending(home.house, lambda: None))) == 1
    page = home.page(path)
    assert "in the background" not in page
    assert '<meta http-equiv="refresh"' not in page
    assert "<title>layer.0" in page
    answer = home.client.get(f"/api/cairn/models{path}")
    told = answer.json()
    assert (answer.status_code, told["values_compared"], told["waiting"]) == (200, True, None)
    assert told["tensors"][0]["values"]["changed_fraction"] == 1.0
    assert list(compare_pending(home.house, lambda: None)) == []


def test_what_cannot_be_compared_or_must_queue_too_long_is_said(home, monkeypatch):
    before, after = _two_revisions(home)
    monkeypatch.setattr(comparisons, "MAX_VALUE_BYTES", 100)
    monkeypatch.setattr(waiting_comparisons, "MAX_WAITING", 0)
    path = f"/ada/model/compare/{before}...{after}"
    page = home.page(path)
    assert "as many comparisons wait already" in page
    assert f"cairn diff ada/model@{before} ada/model@{after}" in page
    answer = home.client.get(f"/api/cairn/models{path}")
    assert answer.status_code == 200
    assert "wait already" in answer.json()["not_compared"]


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("guard", ["private", "gated"])
def test_either_side_is_guarded_as_its_files_are(home, monkeypatch, side, guard):
    monkeypatch.setattr(comparisons, "MAX_VALUE_BYTES", 100)
    closed, opened = "ada/closed", "ada/open"
    for name in (closed, opened):
        _two_revisions(home, name, private=guard == "private" and name == closed)
    if guard == "gated":
        record = home.house.catalog.repos.get(RepoId.parse(RepoType.MODEL, closed))
        home.house.catalog.repos.update(record.id, gated="manual")
    after, other = (opened, closed) if side == "before" else (closed, opened)
    path = f"/{after}/compare/main...main?before_repo={other}"
    file = home.client.get(
        f"/{closed}/resolve/main/config.json",
        headers={"authorization": f"Bearer {home.stranger_token}"},
    )
    assert file.status_code == (404 if guard == "private" else 403)
    refused = home.page(path, token=home.stranger_token, status=file.status_code)
    assert "dropout" not in refused
    headers = {"authorization": f"Bearer {home.stranger_token}"}
    answer = home.client.get(f"/api/cairn/models{path}", headers=headers)
    assert answer.status_code == file.status_code
    form = f"/{after}/compare?before=main&after=main&before_repo={other}"
    assert home.client.get(form, headers=headers, follow_redirects=False).status_code in (
        303,  # a form within reach leads to a page that refuses
        file.status_code,
    )
    assert home.house.catalog.comparisons.due(1) is None
    assert "Nothing differs" in home.page(path, token=home.token)


def test_revisions_of_two_repos_are_compared(home):
    _, after = _two_revisions(home, "ada/base")
    home.repo("ada/tuned", {"model.safetensors": _model(1.0)})
    page = home.page("/ada/tuned/compare/main...main?before_repo=ada/base")
    assert "ada/base@main" in page
    assert "<title>layer.0" in page
    assert "cairn" not in page.partition("Tensors</h2>")[2].partition("</table>")[0]
    assert f'<option value="{after}">{after[:7]} Add files</option>' in page
    told = home.client.get("/api/cairn/models/ada/tuned/compare/main...main?before_repo=ada/base")
    assert [tensor["name"] for tensor in told.json()["tensors"]] == ["layer.0.query.weight"]
    home.page("/ada/tuned/compare/main...main?before_repo=ada/nothing", status=404)
    home.page("/ada/tuned/compare/main...main?before_repo=!", status=404)


def test_the_page_offers_branches_tags_and_the_last_commits(home):
    before, after = _two_revisions(home)
    history = home.house.catalog.history
    uid = home.house.catalog.repos.get(RepoId.parse(RepoType.MODEL, "ada/model")).uid
    history.create_ref(uid, "refs/tags/v1", before)
    history.create_ref(uid, "refs/heads/dev", after)
    page = home.page("/ada/model/compare/v1...dev")
    assert '<option value="v1" selected>' in page
    assert '<option value="dev" selected>' in page
    for group in ("Branches", "Tags", "Last commits"):
        assert page.count(f'<optgroup label="{group}">') == 2
    assert f'<option value="{before}">{before[:7]} Add files</option>' in page


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


def _led_to(home, query):
    path = f"/ada/model/compare{query}"
    return home.client.get(path, follow_redirects=False).headers["location"]


def test_the_form_leads_to_the_page_of_both_revisions(home):
    before, _ = _two_revisions(home)
    page = "/ada/model/compare/"
    assert _led_to(home, "?before=feature/x&after=main") == f"{page}feature%2Fx...main"
    typed = f"?before=main&before_id={before}&after=main&after_id="
    assert _led_to(home, typed) == f"{page}{before}...main"
    assert _led_to(home, "") == f"{page}{before}...main"


def test_a_revision_the_other_repo_lacks_is_its_default_branch(home):
    before, _ = _two_revisions(home)
    home.repo("ada/base", {"config.json": b"{}"})
    led = _led_to(home, f"?before={before}&after=main&before_repo=ada/base")
    assert led == "/ada/model/compare/main...main?before_repo=ada%2Fbase"
    typed = _led_to(home, f"?before_id={before}&after=main&before_repo=ada/base")
    assert typed == f"/ada/model/compare/{before}...main?before_repo=ada%2Fbase"
    home.page(typed, status=404)


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


def test_the_model_comes_before_the_state_of_its_training(home):
    repo = home.repo("ada/model")
    for factor in (1, 2):
        model = torch.nn.Linear(3, 2)
        torch.nn.init.constant_(model.weight, 1.0 + factor / 100)
        torch.nn.init.constant_(model.bias, 0.0 if factor == 1 else 1.0)
        optimizer = torch.optim.AdamW(model.parameters())
        (model(torch.full((1, 3), 10.0**factor)).sum() * factor).backward()
        optimizer.step()
        weights = {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()}
        home.commit(
            repo,
            {
                "model.safetensors": save(weights),
                "optimizer.pt": saved(optimizer.state_dict()),
                "tokenizer_config.json": json.dumps({"model_max_length": int(1e30)}).encode(),
            },
        )
    parent, now = _last_two(home)
    page = home.page(f"/ada/model/compare/{parent}...{now}")
    names = re.findall(r'<tr><td class="name">(.*?)</td>', page)
    plain = [re.sub("<.*?>", "", name).replace("\u200b", "") for name in names]
    weights = [at for at, name in enumerate(plain) if not name.startswith("state")]
    assert weights == [0, 1]
    assert any(name.startswith("state.0.exp_avg") and "of weight" in name for name in plain)
    assert "not compared:" not in page
    filtered = home.page(f"/ada/model/compare/{parent}...{now}?q=weight exp_avg_sq")
    table = filtered.partition("<tbody>")[2].partition("</tbody>")[0]
    assert table.count("<tr>") == 1


def test_while_values_wait_only_what_headers_tell_is_listed(home, monkeypatch):
    monkeypatch.setattr(comparisons, "MAX_VALUE_BYTES", 10)
    repo = home.repo("ada/model")
    for rows in (2, 3):
        tensors = {
            "kept": ("F32", (2,), bytes([rows] * 8)),
            "resized": ("F32", (rows,), bytes(4 * rows)),
        }
        home.commit(repo, {"model.safetensors": safetensors(tensors)})
    parent, now = _last_two(home)
    page = home.page(f"/ada/model/compare/{parent}...{now}")
    table = page.partition("<tbody>")[2].partition("</tbody>")[0]
    assert table.count("<tr>") == 1
    assert "resized" in table


def test_a_tensor_that_was_zero_has_no_percentage(home):
    repo = home.repo("ada/model")
    for value in (b"\0\0\0\0", b"\0\0\0\x40"):
        home.commit(repo, {"model.safetensors": safetensors({"bias": ("F32", (1,), value)})})
    parent, now = _last_two(home)
    assert "from zero" in home.page(f"/ada/model/compare/{parent}...{now}")
