"""Downloads into caches and folders; what is fetched again and what is not."""

import os
from pathlib import Path

import pytest

from tests.compat import minilm
from tests.compat.clients import Client, add, raises
from tests.compat.hubs import Hub


@pytest.fixture
def versions(client: Client, repo: str) -> tuple[str, str, str]:
    """A repo whose `config/a.json` differs between two commits: repo id, older, newer commit."""
    older, newer = (
        client.api.create_commit(
            repo,
            [add("config/a.json", text), add("w.bin", os.urandom(50_000)), add("n.md", text)],
            commit_message="version",
        ).oid
        for text in (b'"old"', b'"new"')
    )
    return repo, older, newer


def fetched(hub: Hub, mark: int) -> list[str]:
    """The requests since the mark that asked for a file's bytes."""
    return [r for r in hub.requests(mark) if r.startswith("GET ") and "/resolve/" in r]


def test_a_file_is_downloaded_by_revision(
    client: Client, versions: tuple[str, str, str], tmp_path: Path
) -> None:
    repo, older, newer = versions
    client.api.create_branch(repo, branch="was", revision=older)
    client.api.create_tag(repo, tag="t", revision=older)
    for revision, text in [
        (None, '"new"'), ("main", '"new"'), (newer, '"new"'), (older, '"old"'), ("was", '"old"'),
        ("t", '"old"'), ("refs/heads/was", '"old"'),
    ]:  # fmt: skip
        path = client.api.hf_hub_download(repo, "config/a.json", revision=revision)
        assert Path(path).read_text() == text, revision
        commit = older if text == '"old"' else newer
        assert f"/snapshots/{commit}/" in path


def test_a_file_is_downloaded_from_a_subfolder(
    client: Client, versions: tuple[str, str, str]
) -> None:
    path = client.api.hf_hub_download(versions[0], "a.json", subfolder="config")
    assert Path(path).read_text() == '"new"'


def test_a_cached_file_is_fetched_again_only_by_force(
    client: Client, versions: tuple[str, str, str], hub: Hub
) -> None:
    repo = versions[0]
    client.api.hf_hub_download(repo, "w.bin")
    mark = hub.mark()
    client.api.hf_hub_download(repo, "w.bin")
    assert fetched(hub, mark) == []
    client.api.hf_hub_download(repo, "w.bin", force_download=True)
    assert len(fetched(hub, mark)) == 1


def test_a_folder_keeps_the_downloads_it_was_given(
    client: Client, versions: tuple[str, str, str], tmp_path: Path, hub: Hub
) -> None:
    repo, older, _ = versions
    client.api.hf_hub_download(repo, "config/a.json", local_dir=tmp_path, revision=older)
    assert (tmp_path / "config" / "a.json").read_text() == '"old"'
    client.api.hf_hub_download(repo, "config/a.json", local_dir=tmp_path)
    assert (tmp_path / "config" / "a.json").read_text() == '"new"'
    mark = hub.mark()
    client.api.hf_hub_download(repo, "config/a.json", local_dir=tmp_path)
    assert fetched(hub, mark) == []


def test_a_snapshot_holds_what_the_patterns_allow(
    client: Client, versions: tuple[str, str, str]
) -> None:
    repo, older, _ = versions
    folder = Path(client.api.snapshot_download(repo, revision=older, allow_patterns="*.json"))
    assert list(minilm.digests(folder)) == ["config/a.json"]
    assert (folder / "config" / "a.json").read_text() == '"old"'
    folder = Path(client.api.snapshot_download(repo, ignore_patterns=["*.bin", ".git*"]))
    assert list(minilm.digests(folder)) == ["config/a.json", "n.md"]


def test_a_second_snapshot_fetches_nothing(
    client: Client, versions: tuple[str, str, str], hub: Hub
) -> None:
    first = client.api.snapshot_download(versions[0])
    mark = hub.mark()
    assert client.api.snapshot_download(versions[0]) == first
    assert fetched(hub, mark) == []


def test_a_new_commit_fetches_only_what_changed(
    client: Client, versions: tuple[str, str, str], hub: Hub
) -> None:
    repo = versions[0]
    client.api.snapshot_download(repo)
    client.api.create_commit(repo, [add("n.md", b"# newest")], commit_message="one file")
    mark = hub.mark()
    folder = Path(client.api.snapshot_download(repo))
    assert (folder / "n.md").read_text() == "# newest"
    [only] = fetched(hub, mark)
    assert "/n.md " in only


def test_files_of_a_private_repo_need_the_token(client: Client, name: str) -> None:
    client.api.create_repo(name, private=True)
    client.api.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id=name)
    with raises("RepositoryNotFoundError"):
        client.with_token(None).api.hf_hub_download(name, "config.json")
    assert Path(client.api.hf_hub_download(name, "config.json")).read_text() == "{}"


def test_public_files_need_no_token(
    client: Client, versions: tuple[str, str, str], tmp_path: Path
) -> None:
    nobody = client.with_token(None)
    nobody.api.snapshot_download(versions[0], local_dir=tmp_path)
    assert (tmp_path / "config" / "a.json").read_text() == '"new"'


def test_a_snapshot_of_a_dataset_comes_back_whole(
    client: Client, name: str, tmp_path: Path
) -> None:
    client.api.create_repo(name, repo_type="dataset")
    files = {"data/train.parquet": os.urandom(70_000), "README.md": b"# data"}
    client.api.create_commit(
        name, [add(p, c) for p, c in files.items()], commit_message="data", repo_type="dataset"
    )
    client.api.snapshot_download(name, repo_type="dataset", local_dir=tmp_path)
    assert {path: (tmp_path / path).read_bytes() for path in files} == files


def test_the_whole_minilm_comes_back_as_it_was(
    client: Client, pushed_minilm: str, tmp_path: Path
) -> None:
    client.api.snapshot_download(pushed_minilm, local_dir=tmp_path)
    assert minilm.digests(tmp_path) == minilm.digests(minilm.FOLDER)
