"""transformers, unmodified, on the real MiniLM: what was pushed is what is loaded."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.compat import minilm
from tests.compat.clients import LFS, XET, Client, Mode, raises
from tests.compat.hubs import Hub

pytest.importorskip("transformers", reason="transformers is not installed: ./scripts/test does")


MODERN = [
    pytest.param(XET, id="xet"),
    # That both ways carry the same bytes is tested without a transformers to import.
    pytest.param(LFS, id="lfs", marks=pytest.mark.slow),
]


@pytest.fixture(params=MODERN)
def modern(request: pytest.FixtureRequest, clients: Callable[[Mode], Client]) -> Client:
    """The current client in both ways; transformers 5 does not run with the old one."""
    return clients(request.param)


def _compare(repo, local, options):
    """Differences between a model loaded from the hub and one loaded from a folder."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    text = "A cairn is a pile of stones that marks a path."
    loaded = {}
    for name, source, more in (("hub", repo, options), ("local", local, {})):
        model = AutoModel.from_pretrained(source, **more).eval()
        tokenizer = AutoTokenizer.from_pretrained(source, **more)
        with torch.no_grad():
            embedding = model(**tokenizer(text, return_tensors="pt")).last_hidden_state
        loaded[name] = (model.state_dict(), tokenizer(text)["input_ids"], embedding)
    (hub, hub_ids, hub_embedding), (own, own_ids, own_embedding) = loaded["hub"], loaded["local"]
    both = set(hub) & set(own)
    different = [key for key in both if hub[key].numpy().tobytes() != own[key].numpy().tobytes()]
    different += set(hub) ^ set(own)
    return {
        "tensors": len(hub),
        "different": different,
        "same_tokens": hub_ids == own_ids,
        "same_embedding": torch.equal(hub_embedding, own_embedding),
    }


def assert_same(found: dict[str, object]) -> None:
    assert found == {
        "tensors": found["tensors"],
        "different": [],
        "same_tokens": True,
        "same_embedding": True,
    }
    assert found["tensors"] == 103


def test_the_pushed_minilm_loads_bit_for_bit(modern: Client, pushed_minilm: str) -> None:
    assert_same(modern.run(_compare, pushed_minilm, str(minilm.FOLDER), {}))


def test_it_loads_bit_for_bit_after_it_was_rewritten_as_tensors(
    new_client: Callable[..., Client], pushed_minilm: str, hub: Hub
) -> None:
    hub.settle()
    assert_same(new_client().run(_compare, pushed_minilm, str(minilm.FOLDER), {}))


def test_a_sharded_model_is_saved_pushed_and_loaded_again(modern: Client, name: str) -> None:
    files = modern.run(_push_sharded, name, str(minilm.FOLDER))
    shards = [file for file in files if file.endswith(".safetensors")]
    assert len(shards) >= 3 and "model.safetensors.index.json" in files
    assert sorted(modern.api.list_repo_files(name)) == sorted(files)
    assert_same(modern.run(_compare, name, str(minilm.FOLDER), {}))


def _push_sharded(repo, local):
    from huggingface_hub import list_repo_files
    from transformers import AutoModel, AutoTokenizer

    model = AutoModel.from_pretrained(local)
    model.push_to_hub(repo, max_shard_size="30MB", commit_message="in shards")
    AutoTokenizer.from_pretrained(local).push_to_hub(repo)
    return list_repo_files(repo)


def test_a_pickled_state_dict_is_pushed_and_loaded(modern: Client, name: str) -> None:
    modern.run(_push_pickled, name, str(minilm.FOLDER))
    assert "pytorch_model.bin" in modern.api.list_repo_files(name)
    assert_same(modern.run(_compare, name, str(minilm.FOLDER), {}))


def _push_pickled(repo, local):
    import shutil
    from pathlib import Path
    from tempfile import TemporaryDirectory

    import torch
    from huggingface_hub import HfApi
    from transformers import AutoModel

    with TemporaryDirectory() as folder:
        for file in Path(local).glob("*.*"):
            if file.suffix in (".json", ".txt"):
                shutil.copy(file, folder)
        state = AutoModel.from_pretrained(local).state_dict()
        torch.save(state, Path(folder) / "pytorch_model.bin")
        HfApi().create_repo(repo)
        HfApi().upload_folder(repo_id=repo, folder_path=folder)


def test_a_branch_is_pushed_to_and_loaded_by_revision(modern: Client, name: str) -> None:
    modern.run(_push_branch, name, str(minilm.FOLDER))
    assert "model.safetensors" not in modern.api.list_repo_files(name)
    assert_same(modern.run(_compare, name, str(minilm.FOLDER), {"revision": "half/done"}))


def _push_branch(repo, local):
    from transformers import AutoModel, AutoTokenizer

    AutoModel.from_pretrained(local).push_to_hub(repo, revision="half/done")
    AutoTokenizer.from_pretrained(local).push_to_hub(repo, revision="half/done")


def test_a_proposed_model_is_loaded_from_its_pull_request(modern: Client, name: str) -> None:
    modern.run(_propose, name)
    assert modern.api.list_repo_files(name) == [".gitattributes"]
    assert modern.run(_width_of, name, "refs/pr/1") == 32


def _propose(repo):
    from huggingface_hub import HfApi
    from transformers import BertConfig, BertModel

    HfApi().create_repo(repo)
    config = BertConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
    )
    BertModel(config).push_to_hub(repo, create_pr=True)


def _width_of(repo, revision):
    from transformers import AutoModel

    model = AutoModel.from_pretrained(repo, revision=revision)
    return model.get_input_embeddings().weight.shape[1]


def test_a_private_model_loads_with_the_token_only(modern: Client, name: str) -> None:
    modern.api.create_repo(name, private=True)
    small = [minilm.FOLDER / file for file in ("config.json", "tokenizer_config.json")]
    for file in small:
        modern.api.upload_file(path_or_fileobj=file, path_in_repo=file.name, repo_id=name)
    assert modern.run(_config_of, name, None) == "bert"
    with raises("OSError") as info:
        modern.run(_config_of, name, False)
    assert "is not a local folder and is not a valid model identifier" in info.value.text


def _config_of(repo, token):
    from tempfile import TemporaryDirectory

    from transformers import AutoConfig

    with TemporaryDirectory() as cache:
        return AutoConfig.from_pretrained(repo, token=token, cache_dir=cache).model_type


def test_a_fine_tune_keeps_its_own_card_and_tags(modern: Client, name: str) -> None:
    modern.run(_push_with_tags, name, str(minilm.FOLDER))
    info = modern.api.model_info(name)
    assert "mine" in info.tags
    assert info.library_name == "transformers"
    assert Path(modern.api.hf_hub_download(name, "README.md")).read_text().startswith("---")


def _push_with_tags(repo, local):
    from transformers import AutoTokenizer, BertConfig, BertModel

    config = BertConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
    )
    BertModel(config).push_to_hub(repo, tags=["mine"])
    AutoTokenizer.from_pretrained(local).push_to_hub(repo)
