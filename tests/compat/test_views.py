"""Safetensors views with the stock clients: a pickle in the repo, safetensors in the loader."""

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.numpy import load_file

from tests.compat import minilm
from tests.compat.clients import Client, Mode, raises
from tests.compat.conftest import People
from tests.compat.hubs import Hub
from tests.compat.test_transformers import MODERN, _compare, _push_pickled, assert_same

pytest.importorskip("transformers", reason="transformers is not installed: ./scripts/test does")


@pytest.fixture(params=MODERN)
def modern(request: pytest.FixtureRequest, clients: Callable[[Mode], Client]) -> Client:
    """The current client in both ways; transformers 5 does not run with the old one."""
    return clients(request.param)


def switch(hub: Hub, token: str, repo: str, on: bool) -> None:
    """What the owner of a repo says about views."""
    request = urllib.request.Request(
        f"{hub.url}/api/models/{repo}/settings",
        json.dumps({"safetensorsViews": on}).encode(),
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        method="PUT",
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=60) as answer:
        assert json.load(answer)["safetensorsViews"] == on


def _push_tiny(repo, shard_bytes):
    """A tiny BERT as transformers 4 saved it: pickled, with tied weights, whole or in shards."""
    import json
    from pathlib import Path
    from tempfile import TemporaryDirectory

    import torch
    from huggingface_hub import HfApi, split_torch_state_dict_into_shards
    from transformers import BertConfig, BertForMaskedLM

    torch.manual_seed(1)
    config = BertConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        vocab_size=300,
    )  # fmt: skip
    model = BertForMaskedLM(config)
    state = model.state_dict()
    with TemporaryDirectory() as folder:
        config.save_pretrained(folder)
        split = split_torch_state_dict_into_shards(
            state, filename_pattern="pytorch_model{suffix}.bin", max_shard_size=shard_bytes
        )
        for name, keys in split.filename_to_tensors.items():
            torch.save({key: state[key] for key in keys}, Path(folder) / name)
        if split.is_sharded:
            index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
            (Path(folder) / "pytorch_model.bin.index.json").write_text(json.dumps(index))
        HfApi().create_repo(repo)
        HfApi().upload_folder(repo_id=repo, folder_path=folder)
    return len(split.filename_to_tensors)


def _load_tiny(repo, strict):
    """How many tensors a loader finds, how many differ from the pickles, and what it fetched."""
    from pathlib import Path
    from tempfile import TemporaryDirectory

    import torch
    from huggingface_hub import snapshot_download
    from transformers import BertForMaskedLM

    with TemporaryDirectory() as cache:
        model = BertForMaskedLM.from_pretrained(repo, use_safetensors=strict, cache_dir=cache)
        fetched = sorted({path.name for path in Path(cache).rglob("snapshots/*/*")})
        pickles = Path(snapshot_download(repo, cache_dir=cache))
        expected = {}
        for path in pickles.glob("*.bin"):
            expected |= torch.load(path)
    found = model.state_dict()
    different = [key for key in expected if not torch.equal(found[key], expected[key])]
    return {"tensors": len(found), "different": different, "fetched": fetched}


def test_a_pickled_model_loads_as_safetensors_once_the_owner_has_views_on(
    modern: Client, name: str, hub: Hub, people: People
) -> None:
    modern.run(_push_tiny, name, 10**9)
    with raises("OSError") as info:
        modern.run(_load_tiny, name, True)
    assert "does not appear to have a file named" in info.value.text
    switch(hub, people.alice, name, on=True)
    found = modern.run(_load_tiny, name, True)
    assert found == {
        "tensors": 44, "different": [], "fetched": ["config.json", "model.safetensors"]
    }  # fmt: skip
    assert sorted(modern.api.list_repo_files(name)) == [
        ".gitattributes", "config.json", "pytorch_model.bin"
    ]  # fmt: skip
    # A loader that takes what there is takes the safetensors as well, and never the pickle.
    assert modern.run(_load_tiny, name, None)["fetched"] == found["fetched"]


def test_a_model_in_pickled_shards_loads_as_one_safetensors_file(
    default_client: Client, name: str, hub: Hub, people: People
) -> None:
    assert default_client.run(_push_tiny, name, 60_000) > 2
    switch(hub, people.alice, name, on=True)
    assert default_client.run(_load_tiny, name, True) == {
        "tensors": 44, "different": [], "fetched": ["config.json", "model.safetensors"]
    }  # fmt: skip


def test_views_switched_on_for_the_hub_hold_for_every_repo(
    tmp_path: Path, new_client: Callable[..., Client]
) -> None:
    weights = {"w": torch.arange(600, dtype=torch.float32).reshape(20, 30)}
    torch.save(weights, tmp_path / "pytorch_model.bin")
    with Hub(tmp_path / "hub", safetensors_views=True) as own:
        client = new_client(url=own.url, token=own.admin_token)
        client.api.create_repo("admin/tiny")
        client.api.upload_file(
            path_or_fileobj=tmp_path / "pytorch_model.bin",
            path_in_repo="pytorch_model.bin",
            repo_id="admin/tiny",
        )
        view = client.api.hf_hub_download("admin/tiny", "model.safetensors")
        found = load_file(view)
        assert found.keys() == {"w"} and (found["w"] == weights["w"].numpy()).all()
        switch(own, own.admin_token, "admin/tiny", on=False)
        with raises("EntryNotFoundError", 404):
            client.api.hf_hub_download("admin/tiny", "model.safetensors", force_download=True)


def test_the_real_minilm_kept_as_a_pickle_loads_as_safetensors_bit_for_bit(
    default_client: Client, name: str, hub: Hub, people: People
) -> None:
    default_client.run(_push_pickled, name, str(minilm.FOLDER))
    switch(hub, people.alice, name, on=True)
    options = {"use_safetensors": True}
    assert_same(default_client.run(_compare, name, str(minilm.FOLDER), options))
    hub.settle()  # now it is kept as tensors
    view = hub.get(f"/{name}/resolve/main/pytorch_model.bin?view=safetensors", people.alice)
    assert view == Path(default_client.api.hf_hub_download(name, "model.safetensors")).read_bytes()


def _resume(repo, half):
    """Download in one go, and in two as the client does after a broken connection."""
    import io
    from pathlib import Path

    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.file_download import http_get

    url = hf_hub_url(repo, "model.safetensors")
    told = get_hf_file_metadata(url)
    path = Path(hf_hub_download(repo, "model.safetensors"))
    whole = path.read_bytes()
    rest = io.BytesIO(whole[:half])
    rest.seek(half)
    http_get(url, rest, resume_size=half, expected_size=told.size)
    same = rest.getvalue() == whole
    return told.etag, told.size, len(whole), path.resolve().name, same


def test_a_view_is_downloaded_by_range_and_resumed(
    modern: Client, name: str, hub: Hub, people: People
) -> None:
    modern.run(_push_tiny, name, 10**9)
    switch(hub, people.alice, name, on=True)
    mark = hub.mark()
    etag, told, size, blob, same = modern.run(_resume, name, 1000)
    assert same and told == size and etag == blob
    assert etag.startswith("safetensors-view-")
    assert [r.split()[-1] for r in hub.requests(mark) if r.startswith("GET")] == ["200", "206"]


def test_the_command_line_converts_what_a_hub_keeps(
    default_client: Client, name: str, hub: Hub, people: People, tmp_path: Path
) -> None:
    default_client.run(_push_tiny, name, 10**9)
    hub.cairn("convert", name, tmp_path / "out", "--verify")
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {"config.json", "model.safetensors"}
    url = f"/{name}/resolve/main/pytorch_model.bin?view=safetensors"
    (tmp_path / "view.safetensors").write_bytes(hub.get(url, people.alice))
    own, seen = (load_file(tmp_path / p) for p in ("out/model.safetensors", "view.safetensors"))
    assert own.keys() == seen.keys()
    assert all((own[name] == seen[name]).all() for name in own)
