"""Safetensors views over the wire: the file a pickle would make, never stored, never listed."""

import hashlib
import json
import random
import re

import pytest
import safetensors.torch
import torch

from cairn.domain import Digest
from cairn.formats import read_layout
from cairn.workflows.views import pickled_path
from tests.formats.making import saved

STATE = {
    "encoder.weight": torch.arange(3000.0).reshape(50, 60),
    "encoder.turned": torch.arange(3000.0).reshape(60, 50).t(),
    "head": torch.ones(7, dtype=torch.bfloat16),
}
PICKLE = saved({"state_dict": STATE, "epoch": 3})
VIEW = "/ann/m/resolve/main/pytorch_model.bin?view=safetensors"
LOADED = "/ann/m/resolve/main/model.safetensors"


@pytest.fixture
def views_on(hub):
    client = hub.client("ann", safetensors_views=True)
    yield client


def put(repo, path: str, content: bytes) -> None:
    oid = repo.put_large(content)
    assert repo.commit(repo.large(path, oid)).status_code == 200


@pytest.fixture
def filled(repo):
    put(repo, "pytorch_model.bin", PICKLE)
    return repo


def assert_is_the_state_dict(content: bytes) -> None:
    found = safetensors.torch.load(content)
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in STATE.items())


def test_the_query_gives_the_weights_of_a_pickle_as_safetensors(filled):
    answer = filled.client.get(VIEW)
    assert answer.status_code == 200
    assert_is_the_state_dict(answer.content)
    assert answer.headers["x-repo-commit"] == filled.head()
    assert 'filename="pytorch_model.safetensors"' in answer.headers["content-disposition"]


def test_head_and_get_of_a_view_say_the_same(filled):
    head, get = filled.client.head(VIEW), filled.client.get(VIEW)
    assert head.status_code == get.status_code == 200 and head.content == b""
    assert int(head.headers["content-length"]) == len(get.content)
    for name in ("etag", "x-repo-commit", "accept-ranges", "content-length", "cache-control"):
        assert head.headers[name] == get.headers[name]
    assert head.headers["accept-ranges"] == "bytes"


def test_the_etag_is_stable_and_nobody_takes_it_for_a_digest(filled, hub):
    etag = filled.client.head(VIEW).headers["etag"]
    assert hub.client("ann").head(VIEW).headers["etag"] == etag
    plain = etag.strip('"')
    assert not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", plain)
    assert re.fullmatch(r"[\w.-]+", plain)  # clients name files in their cache after it
    assert not [name for name in filled.client.head(VIEW).headers if "x-linked" in name]
    original = filled.client.head("/ann/m/resolve/main/pytorch_model.bin").headers["etag"]
    assert original != etag
    put(filled, "pytorch_model.bin", saved({"head": torch.zeros(7)}))
    assert filled.client.head(VIEW).headers["etag"] != etag


def test_any_range_of_a_view_is_right(filled):
    whole = filled.client.get(VIEW).content
    rng = random.Random(5)
    for _ in range(40):
        first = rng.randrange(len(whole))
        last = first + rng.choice((0, 1, 100, 5000, 10**6))
        answer = filled.client.get(VIEW, headers={"Range": f"bytes={first}-{last}"})
        assert answer.status_code == 206
        assert answer.content == whole[first : last + 1]
        stop = min(last + 1, len(whole))
        assert answer.headers["content-range"] == f"bytes {first}-{stop - 1}/{len(whole)}"
    past = filled.client.get(VIEW, headers={"Range": f"bytes={len(whole)}-"})
    assert past.status_code == 416 and past.headers["content-range"] == f"bytes */{len(whole)}"


def test_a_view_one_has_already_is_not_sent_again(filled):
    etag = filled.client.head(VIEW).headers["etag"]
    answer = filled.client.get(VIEW, headers={"If-None-Match": etag})
    assert answer.status_code == 304 and answer.content == b""
    other = filled.client.get(VIEW, headers={"Range": "bytes=0-9", "If-Range": '"another"'})
    assert other.status_code == 200


def test_a_view_of_a_blob_kept_as_parts_has_the_same_bytes(repo, hub):
    generator = torch.Generator().manual_seed(1)
    large = torch.randn(600, 500, generator=generator)
    content = saved({"w": large, "turned": large.t(), "v": large.clone().bfloat16()})
    put(repo, "pytorch_model.bin", content)
    before = repo.client.get(VIEW).content
    digest = Digest.sha256(hashlib.sha256(content).hexdigest())
    with hub.house.store.open(digest) as source:
        layout = read_layout(source)
    hub.house.store.optimize(digest, layout)
    assert hub.house.store.local_path(digest) is None
    assert repo.client.get(VIEW).content == before


def test_nothing_is_added_to_the_store_and_no_listing_shows_views(filled, views_on, hub):
    stored = hub.house.store.stats()
    assert views_on.get(LOADED).status_code == 200
    assert hub.house.store.stats() == stored
    tree = views_on.get("/api/models/ann/m/tree/main").json()
    siblings = views_on.get("/api/models/ann/m").json()["siblings"]
    assert {node["path"] for node in tree} == {".gitattributes", "pytorch_model.bin"}
    assert {one["rfilename"] for one in siblings} == {".gitattributes", "pytorch_model.bin"}


# --- refusals ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "status", "code", "message"),
    [
        (b"no checkpoint at all " * 10, 400, "BadData", "pytorch_model.bin"),
        (PICKLE[:-100], 400, "BadData", "pytorch_model.bin"),
        (saved({"c": torch.ones(2, dtype=torch.complex128)}), 400, "BadRequest", "C128"),
        (saved({"optimizer": {"state": {0: {"exp_avg": torch.ones(1)}}}}), 400, "BadRequest",
         "role weights"),
    ],
)  # fmt: skip
def test_a_file_without_a_view_is_a_clear_refusal(repo, views_on, content, status, code, message):
    put(repo, "pytorch_model.bin", content)
    for _ in range(2):  # the second time from memory
        answer = repo.client.get(VIEW)
        assert (answer.status_code, answer.headers["x-error-code"]) == (status, code)
        assert message in answer.json()["error"]
    # Stock clients, who did not ask for a view, are told to go on to the pickle.
    implied = views_on.get(LOADED)
    assert (implied.status_code, implied.headers["x-error-code"]) == (404, "EntryNotFound")
    assert implied.headers["x-repo-commit"] == repo.head()


def test_a_small_pickle_that_unfolds_to_terabytes_is_refused_before_a_byte_is_sent(repo, views_on):
    """Stride 0 shows one stored number everywhere: no view, from any number of such tensors."""
    one = torch.ones(1)
    huge = {f"w{n}": one.expand(1 << 28) for n in range(2000)}
    for content in (saved({"w": one.expand(1 << 40)}), saved(huge)):
        assert len(content) < 500_000
        put(repo, "pytorch_model.bin", content)
        for headers in ({}, {"Range": "bytes=1000000000-1000000009"}):
            answer = repo.client.get(VIEW, headers=headers)
            assert (answer.status_code, answer.headers["x-error-code"]) == (413, "TooLarge")
            assert "more than such files hold" in answer.json()["error"]
        assert repo.client.head(VIEW).status_code == 413
        assert views_on.get(LOADED).status_code == 404


def test_other_views_and_missing_files_are_refused(filled):
    answer = filled.client.get("/ann/m/resolve/main/pytorch_model.bin?view=onnx")
    assert answer.status_code == 400 and "known: safetensors" in answer.json()["error"]
    answer = filled.client.get("/ann/m/resolve/main/none.bin?view=safetensors")
    assert (answer.status_code, answer.headers["x-error-code"]) == (404, "EntryNotFound")


def test_a_view_is_as_private_and_as_gated_as_its_file(filled, hub):
    strangers = (hub.client(safetensors_views=True), hub.client("eve", safetensors_views=True))
    for client in strangers:
        assert client.get(VIEW).status_code == client.get(LOADED).status_code == 200
    filled.client.put("/api/models/ann/m/settings", json={"gated": "auto"})
    for client in strangers:
        for url in (VIEW, LOADED):
            assert client.get(url).headers["x-error-code"] == "GatedRepo"
    filled.client.put("/api/models/ann/m/settings", json={"gated": False, "private": True})
    for client in strangers:
        for url in (VIEW, LOADED):
            assert client.get(url).headers["x-error-code"] == "RepoNotFound"
    assert filled.client.get(VIEW).headers["cache-control"] == "private, no-cache"


# --- implied -------------------------------------------------------------------------------


def test_loaders_get_the_view_only_where_it_is_switched_on(filled, hub, views_on):
    assert filled.client.get(LOADED).status_code == 404
    answer = views_on.get(LOADED)
    assert_is_the_state_dict(answer.content)
    assert 'filename="model.safetensors"' in answer.headers["content-disposition"]
    assert views_on.head(LOADED).headers["etag"] == answer.headers["etag"]
    settings = "/api/models/ann/m/settings"
    assert filled.client.put(settings, json={"safetensorsViews": False}).json() == {
        "private": False, "gated": False, "safetensorsViews": False
    }  # fmt: skip
    assert views_on.get(LOADED).status_code == 404
    filled.client.put(settings, json={"safetensorsViews": True})
    assert filled.client.get(LOADED).status_code == 200
    told = filled.client.put(settings, json={"safetensorsViews": "default"}).json()
    assert told["safetensorsViews"] == "default"
    assert filled.client.get(LOADED).status_code == 404
    assert views_on.get(LOADED).status_code == 200
    assert filled.client.put(settings, json={"safetensorsViews": 1}).status_code == 400
    actions = [row.action for row in hub.house.catalog.audit.recent(10)]
    assert actions.count("repo.views") == 3


def test_a_file_that_is_there_wins_over_any_view(filled, views_on):
    real = safetensors.torch.save({"real": torch.ones(1)})
    put(filled, "model.safetensors", real)
    assert views_on.get(LOADED).content == real


def put_shards(repo, folder: str = "sub/", variant: str = "") -> None:
    first = {"encoder.weight": STATE["encoder.weight"]}
    second = {name: STATE[name] for name in ("encoder.turned", "head")}
    places = {}
    for number, part in enumerate((first, second), 1):
        name = f"pytorch_model{variant}-0000{number}-of-00002.bin"
        put(repo, folder + name, saved(part))
        places |= dict.fromkeys(part, name)
    index = json.dumps({"metadata": {"total_size": 1}, "weight_map": places})
    repo.put(f"{folder}pytorch_model.bin.index{variant}.json", index.encode())


@pytest.mark.parametrize("variant", ["", ".fp16"])
def test_pickled_shards_make_one_view(repo, views_on, variant):
    put_shards(repo, variant=variant)
    answer = views_on.get(f"/ann/m/resolve/main/sub/model{variant}.safetensors")
    assert_is_the_state_dict(answer.content)
    asked = repo.client.get(
        f"/ann/m/resolve/main/sub/pytorch_model.bin.index{variant}.json?view=safetensors"
    )
    assert asked.content == answer.content and asked.headers["etag"] == answer.headers["etag"]
    # Loaders would look for the shards of an index in the listing, where no view is.
    index = "/ann/m/resolve/main/sub/model.safetensors.index.json"
    assert views_on.get(index).headers["x-error-code"] == "EntryNotFound"


def test_shards_of_which_one_is_missing_or_no_checkpoint_imply_nothing(repo, views_on):
    index = {"weight_map": {"a": "pytorch_model-00001-of-00001.bin"}}
    repo.put("pytorch_model.bin.index.json", json.dumps(index).encode())
    assert views_on.get(LOADED).headers["x-error-code"] == "EntryNotFound"
    put(repo, "pytorch_model-00001-of-00001.bin", b"nothing of the kind" * 3)
    assert views_on.get(LOADED).headers["x-error-code"] == "EntryNotFound"
    put(repo, "pytorch_model-00001-of-00001.bin", saved({"a": torch.ones(1)}))
    assert views_on.get(LOADED).status_code == 200


@pytest.mark.parametrize("names", [[], [f"s{n}.bin" for n in range(1001)]], ids=["none", "many"])
def test_an_index_of_no_or_too_many_shards_has_no_view(repo, names):
    index = {"weight_map": {f"t{n}": name for n, name in enumerate(names)}}
    repo.put("pytorch_model.bin.index.json", json.dumps(index).encode())
    url = "/ann/m/resolve/main/pytorch_model.bin.index.json?view=safetensors"
    assert repo.client.get(url).status_code == 413


@pytest.mark.parametrize(
    ("asked", "pickled"),
    [
        ("model.safetensors", "pytorch_model.bin"),
        ("a/b/model.fp16.safetensors", "a/b/pytorch_model.fp16.bin"),
        ("adapter_model.safetensors", "adapter_model.bin"),
        ("unet/diffusion_pytorch_model.safetensors", "unet/diffusion_pytorch_model.bin"),
    ],
)
def test_names_loaders_ask_for_are_those_of_pickles_before_them(asked, pickled):
    assert pickled_path(asked) == pickled


@pytest.mark.parametrize(
    "path",
    ["config.json", "mymodel.safetensors", "model_ema.safetensors", "model.safetensors/x",
     "model.safetensors.index.json", "model-00001-of-00003.safetensors",
     "model.safetensors.index.txt", "model.bin", "model..safetensors.bin", "safetensors"],
)  # fmt: skip
def test_other_names_imply_nothing(path):
    assert pickled_path(path) is None


def test_only_downloads_of_views_are_counted(filled, hub, views_on):
    views_on.head(LOADED)
    views_on.get(LOADED)
    views_on.get(LOADED, headers={"Range": "bytes=5-9"})
    filled.client.get(VIEW)
    hub.house.catalog.repos.flush_downloads()
    assert filled.client.get("/api/models/ann/m").json()["downloads"] == 2
