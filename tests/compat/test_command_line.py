"""The `hf` command, as a person types it."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.compat import minilm
from tests.compat.clients import OLD, Client, Mode
from tests.compat.conftest import People


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small checkpoint folder to push."""
    (tmp_path / "push" / "sub").mkdir(parents=True)
    (tmp_path / "push" / "config.json").write_text("{}")
    (tmp_path / "push" / "sub" / "w.safetensors").write_bytes(os.urandom(150_000))
    (tmp_path / "push" / "notes.log").write_text("not for the hub")
    return tmp_path / "push"


def test_a_folder_is_uploaded_and_downloaded_by_command(
    client: Client, name: str, folder: Path, tmp_path: Path
) -> None:
    said = client.hf("upload", name, folder, ".", "--exclude", "*.log", "--commit-message", "go")
    assert name in said.stdout + said.stderr
    client.hf("download", name, "--local-dir", tmp_path / "pull")
    pushed = minilm.digests(folder)
    del pushed["notes.log"]
    pulled = minilm.digests(tmp_path / "pull")
    assert {path: pulled.get(path) for path in pushed} == pushed
    assert set(pulled) == {*pushed, ".gitattributes"}
    assert client.api.list_repo_commits(name)[0].title == "go"


def test_one_file_is_uploaded_to_a_new_branch_and_downloaded(
    client: Client, repo: str, folder: Path
) -> None:
    source = folder / "sub" / "w.safetensors"
    client.hf("upload", repo, source, "model.safetensors", "--revision", "try/one")
    assert not client.api.file_exists(repo, "model.safetensors")
    done = client.hf("download", repo, "model.safetensors", "--revision", "try/one", "--quiet")
    assert Path(done.stdout.strip()).read_bytes() == source.read_bytes()


def test_the_current_command_makes_and_deletes_repos_branches_and_tags(
    default_client: Client, name: str
) -> None:
    hf, api = default_client.hf, default_client.api
    hf("repos", "create", name, "--private")
    assert api.model_info(name).private is True
    hf("repos", "create", name, ok=False)
    hf("repos", "create", name, "--exist-ok")
    hf("repos", "branch", "create", name, "dev")
    hf("repos", "tag", "create", name, "v1", "-m", "first")
    assert [b.name for b in api.list_repo_refs(name).branches] == ["dev", "main"]
    assert "v1" in hf("repos", "tag", "list", name).stdout
    hf("repos", "branch", "delete", name, "dev")
    hf("repos", "tag", "delete", name, "v1", "--yes")
    refs = api.list_repo_refs(name)
    assert ([b.name for b in refs.branches], refs.tags) == (["main"], [])
    hf("repos", "settings", name, "--public")
    assert api.model_info(name).private is False
    hf("repos", "delete", name, "--yes")
    assert not api.repo_exists(name)


def test_the_current_command_shows_who_and_what(default_client: Client, pushed_minilm: str) -> None:
    hf = default_client.hf
    assert "alice" in hf("auth", "whoami").stdout
    # Other tests make repos of alice's as well, and the command shows a few.
    search = ("--author", "alice", "--search", pushed_minilm.partition("/")[2])
    listed = json.loads(hf("models", "ls", *search, "--json").stdout)
    assert pushed_minilm in [one["id"] for one in listed]
    assert json.loads(hf("models", "info", pushed_minilm, "--json").stdout)["id"] == pushed_minilm
    assert minilm.WEIGHTS in hf("models", "ls", pushed_minilm).stdout
    assert "sentence" in hf("models", "card", pushed_minilm).stdout.lower()


def test_the_current_command_deletes_files(default_client: Client, name: str, folder: Path) -> None:
    default_client.hf("upload", name, folder, ".")
    default_client.hf("repos", "delete-files", name, "sub/*", "*.log")
    assert default_client.api.list_repo_files(name) == [".gitattributes", "config.json"]


def test_the_old_command_makes_repos_and_tags(
    clients: Callable[[Mode], Client], name: str, folder: Path
) -> None:
    old = clients(OLD)
    assert "alice" in old.hf("auth", "whoami").stdout
    old.hf("repo", "create", name, "--repo-type", "dataset")
    assert old.api.repo_exists(name, repo_type="dataset")
    old.hf("upload", name, folder, ".", "--repo-type", "dataset", "--include", "*.json")
    old.hf("repo", "tag", "create", name, "v1", "--repo-type", "dataset")
    old.hf("repo-files", "delete", name, "config.json", "--repo-type", "dataset")
    assert old.api.list_repo_files(name, repo_type="dataset") == [".gitattributes"]
    tagged = old.api.list_repo_files(name, repo_type="dataset", revision="v1")
    assert tagged == [".gitattributes", "config.json"]


def test_a_large_folder_is_uploaded_by_the_command_made_for_it(
    clients: Callable[[Mode], Client], name: str, folder: Path
) -> None:
    old = clients(OLD)
    old.hf("upload-large-folder", name, folder, "--repo-type", "model", "--no-bars")
    assert set(old.api.list_repo_files(name)) == {*minilm.digests(folder), ".gitattributes"}


def test_the_command_says_in_one_line_what_is_wrong(
    client: Client, repo: str, people: People, new_client: Callable[..., Client]
) -> None:
    missing = client.hf("download", "alice/never-made", ok=False)
    assert "not found" in (missing.stdout + missing.stderr).lower()
    stranger = new_client(client.mode, token=people.alice_read_only)
    denied = stranger.hf("upload", repo, __file__, "x.py", ok=False)
    assert "403" in denied.stdout + denied.stderr
    unknown = new_client(client.mode, token="cairn_nobody-knows-this-token")
    assert unknown.hf("auth", "whoami", ok=False).returncode != 0
