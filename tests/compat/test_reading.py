"""What the clients can ask about a repo: files, history, and what its tensors are."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from safetensors import safe_open

from tests.compat import minilm
from tests.compat.clients import Client, add, copy, raises

NUMBERS = bytes(range(256)) * 50


@pytest.fixture
def filled(client: Client, repo: str) -> str:
    """A repo with two levels of folders, small and large files and two commits."""
    files = {
        "README.md": b"---\nlicense: mit\ntags: [tiny]\n---\n# Hello\n",
        "config.json": b'{"model_type": "bert"}',
        "a/one.txt": b"1",
        "a/b/two.txt": b"22",
        "a/b/w.bin": NUMBERS,
    }
    client.api.create_commit(repo, [add(p, c) for p, c in files.items()], commit_message="first")
    client.api.create_commit(repo, [add("a/one.txt", b"one")], commit_message="second\n\nmore")
    return repo


def test_the_tree_of_one_folder_names_files_and_folders(client: Client, filled: str) -> None:
    found = {e.path: e for e in client.api.list_repo_tree(filled, "a")}
    assert {path: entry.kind for path, entry in found.items()} == {
        "a/b": "RepoFolder",
        "a/one.txt": "RepoFile",
    }
    assert found["a/one.txt"].size == 3
    # git hash-object of "one"
    assert found["a/one.txt"].blob_id == "43dd47ea691c90a5fa7827892c70241913351963"


def test_the_recursive_tree_names_everything_once(client: Client, filled: str) -> None:
    entries = client.api.list_repo_tree(filled, recursive=True)
    assert sorted(e.path for e in entries) == [
        ".gitattributes", "README.md", "a", "a/b", "a/b/two.txt", "a/b/w.bin", "a/one.txt",
        "config.json",
    ]  # fmt: skip
    [large] = [e for e in entries if e.path == "a/b/w.bin"]
    assert large.size == large.lfs.size == 12_800
    assert large.lfs.sha256 == hashlib.sha256(NUMBERS).hexdigest()
    assert 100 < large.lfs.pointer_size < 150


def test_an_expanded_tree_tells_each_entrys_last_commit(client: Client, filled: str) -> None:
    entries = client.api.list_repo_tree(filled, recursive=True, expand=True)
    last = {e.path: e.last_commit.title for e in entries}
    assert last["a/one.txt"] == last["a"] == "second"
    assert last["a/b"] == last["a/b/two.txt"] == last["config.json"] == "first"
    assert last[".gitattributes"] == "initial commit"


def test_a_folder_of_a_thousand_and_more_files_is_listed_whole(
    default_client: Client, name: str
) -> None:
    api = default_client.api
    api.create_repo(name)
    paths = [f"many/{n:04}.txt" for n in range(1100)]
    api.create_commit(name, [add(p, b"same") for p in paths], commit_message="many")
    assert [e.path for e in api.list_repo_tree(name, "many")] == paths
    assert len(api.list_repo_files(name)) == 1101
    assert len(api.get_paths_info(name, paths)) == 1100


def test_paths_info_tells_about_files_and_folders_and_omits_the_unknown(
    client: Client, filled: str
) -> None:
    found = client.api.get_paths_info(filled, ["a", "a/b/w.bin", "nope.txt"], expand=True)
    assert {(e.path, e.kind) for e in found} == {("a", "RepoFolder"), ("a/b/w.bin", "RepoFile")}
    [large] = [e for e in found if e.path == "a/b/w.bin"]
    assert large.last_commit.title == "first"
    assert large.lfs.size == 12_800


def test_history_is_listed_newest_first_with_authors_and_times(client: Client, filled: str) -> None:
    commits = client.api.list_repo_commits(filled)
    assert [c.title for c in commits] == ["second", "first", "initial commit"]
    assert commits[0].message == "more"
    assert commits[0].authors == commits[1].authors == ["alice"]
    assert abs(datetime.now(UTC) - commits[0].created_at) < timedelta(minutes=10)
    assert client.api.list_repo_commits(filled, revision=commits[1].commit_id)[0].title == "first"


def test_long_history_is_listed_whole(default_client: Client, name: str) -> None:
    api = default_client.api
    api.create_repo(name)
    for number in range(60):
        operation = [add("n.txt", str(number).encode())]
        api.create_commit(name, operation, commit_message=f"number {number}")
    titles = [c.title for c in api.list_repo_commits(name)]
    assert titles == [*(f"number {n}" for n in reversed(range(60))), "initial commit"]


def test_model_info_tells_the_files_and_the_card(client: Client, filled: str) -> None:
    info = client.api.model_info(filled)
    assert (info.id, info.author, info.private, info.gated) == (filled, "alice", False, False)
    assert info.sha == client.api.list_repo_commits(filled)[0].commit_id
    assert {s.rfilename for s in info.siblings} >= {"a/b/w.bin", "config.json"}
    assert info.card_data.license == "mit"
    assert {"tiny", "license:mit"} <= set(info.tags)
    # git keeps whole seconds, so the commit may seem a moment older than the repo
    assert info.created_at - info.last_modified < timedelta(seconds=1)
    older = client.api.list_repo_commits(filled)[1].commit_id
    assert client.api.model_info(filled, revision=older).sha == older


def test_model_info_tells_sizes_and_digests_when_asked(client: Client, filled: str) -> None:
    siblings = client.api.model_info(filled, files_metadata=True).siblings
    files = {s.rfilename: s for s in siblings}
    assert files["a/one.txt"].size == 3
    assert files["a/one.txt"].blob_id == "43dd47ea691c90a5fa7827892c70241913351963"
    assert files["a/one.txt"].lfs is None
    assert files["a/b/w.bin"].lfs.size == files["a/b/w.bin"].size == 12_800


def test_model_info_gives_only_what_is_expanded(client: Client, filled: str) -> None:
    info = client.api.model_info(filled, expand=["downloads", "sha", "tags"])
    assert info.sha and info.downloads is not None and "tiny" in info.tags
    assert info.siblings is None and info.card_data is None


def test_model_info_accepts_a_question_about_security(client: Client, filled: str) -> None:
    assert client.api.model_info(filled, securityStatus=True).id == filled


def test_dataset_and_space_info_work_alike(client: Client, name: str) -> None:
    client.api.create_repo(name, repo_type="dataset")
    client.api.create_repo(name, repo_type="space", space_sdk="docker")
    dataset, space = client.api.dataset_info(name), client.api.space_info(name)
    assert dataset.id == space.id == name
    assert space.sdk == "docker"
    assert [s.rfilename for s in dataset.siblings] == [".gitattributes"]


def test_safetensors_metadata_is_that_of_the_real_file(client: Client, pushed_minilm: str) -> None:
    found = client.api.get_safetensors_metadata(pushed_minilm)
    assert found.sharded is False
    with safe_open(minilm.FOLDER / minilm.WEIGHTS, "np") as local:
        names = set(local.keys())
    assert set(found.weight_map) == names
    header = client.api.parse_safetensors_file_metadata(pushed_minilm, minilm.WEIGHTS)
    assert set(header.tensors) == names
    word = header.tensors["embeddings.word_embeddings.weight"]
    assert (word.dtype, word.shape) == ("F32", [30522, 384])


def test_safetensors_metadata_spans_the_shards_of_an_index(
    client: Client, repo: str, tmp_path: Path
) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    shards = {f"model-0000{n}-of-00002.safetensors": f"layer{n}.w" for n in (1, 2)}
    for file, tensor in shards.items():
        save_file({tensor: np.zeros((8, 4), np.float32)}, tmp_path / file)
    index = {"metadata": {"total_size": 256}, "weight_map": {t: f for f, t in shards.items()}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    client.api.upload_folder(repo_id=repo, folder_path=tmp_path)
    found = client.api.get_safetensors_metadata(repo)
    assert found.sharded is True
    assert set(found.files_metadata) == set(shards)
    assert found.parameter_count == {"F32": 64}


def test_a_repo_without_safetensors_says_so(client: Client, filled: str) -> None:
    with raises("NotASafetensorsRepoError"):
        client.api.get_safetensors_metadata(filled)


def test_a_copy_is_the_same_object_in_the_tree(client: Client, filled: str) -> None:
    client.api.create_commit(filled, [copy("a/b/w.bin", "c.bin")], commit_message="copy")
    one, two = client.api.get_paths_info(filled, ["a/b/w.bin", "c.bin"])
    assert one.blob_id == two.blob_id and one.lfs.sha256 == two.lfs.sha256


def test_a_file_that_only_looks_like_safetensors_is_a_safetensors_parsing_error(
    client: Client, repo: str
) -> None:
    for number, content in enumerate([b"\x10" + b"\0" * 7 + b"not json at all!", b"\xff" * 400]):
        path = f"bad{number}.safetensors"
        client.api.create_commit(repo, [add(path, content)], commit_message="bad")
        with raises("SafetensorsParsingError"):
            client.api.parse_safetensors_file_metadata(repo, path)
