"""Each class of error the clients know is the one they raise, and the message helps."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.compat.clients import Client, ClientError, Stream, add, copy, raises
from tests.compat.conftest import People
from tests.compat.hubs import Hub


@pytest.fixture
def filled(client: Client, repo: str) -> str:
    client.api.create_commit(repo, [add("config.json", b"{}")], commit_message="first")
    return repo


def test_a_missing_repo_is_a_repository_not_found_error(client: Client, people: People) -> None:
    for somebody, status in ((client, 404), (client.with_token(None), 401)):
        for attempt in (
            lambda api: api.model_info("alice/never-made"),
            lambda api: api.list_repo_files("alice/never-made"),
            lambda api: api.hf_hub_download("alice/never-made", "config.json"),
            lambda api: api.get_paths_info("alice/never-made", ["a"]),
            lambda api: api.list_repo_commits("alice/never-made"),
            lambda api: api.create_branch("alice/never-made", branch="x"),
        ):
            with raises("RepositoryNotFoundError", status):
                attempt(somebody.api)


def test_a_missing_revision_is_a_revision_not_found_error(client: Client, filled: str) -> None:
    api = client.api
    unknown = "0123456789abcdef0123456789abcdef01234567"
    for revision in ("no-such-branch", unknown, "refs/pr/99"):
        for attempt in (
            lambda r: api.model_info(filled, revision=r),
            lambda r: api.list_repo_files(filled, revision=r),
            lambda r: api.hf_hub_download(filled, "config.json", revision=r),
            lambda r: api.get_paths_info(filled, ["a"], revision=r),
            lambda r: api.create_commit(
                filled, [add("x.txt", b"x")], commit_message="x", revision=r
            ),
        ):
            with raises("RevisionNotFoundError", 404):
                attempt(revision)


def test_a_missing_file_is_an_entry_not_found_error(client: Client, filled: str) -> None:
    for path in ("nope.json", "config.json/below", "no/such/folder/x"):
        with raises("EntryNotFoundError", 404) as info:
            client.api.hf_hub_download(filled, path)
        assert client.mode.is_old or "RemoteEntryNotFoundError" in info.value.kinds
    with raises("EntryNotFoundError", 404):
        client.api.list_repo_tree(filled, "no/such/folder")


def test_a_missing_file_is_remembered_so_that_it_is_asked_for_once(
    client: Client, filled: str, hub: Hub
) -> None:
    commit = client.api.model_info(filled).sha
    with raises("EntryNotFoundError"):
        client.api.hf_hub_download(filled, "nope.json", revision=commit)
    assert client.run(_cached_absence, filled, commit) is True


def _cached_absence(repo, commit):
    from huggingface_hub import _CACHED_NO_EXIST, try_to_load_from_cache

    return try_to_load_from_cache(repo, "nope.json", revision=commit) is _CACHED_NO_EXIST


def test_without_network_the_cache_answers_or_a_local_entry_not_found_error(
    client: Client, filled: str, new_client: Callable[..., Client]
) -> None:
    cached = client.api.hf_hub_download(filled, "config.json")
    offline = new_client(client.mode, home=client.home, HF_HUB_OFFLINE="1")
    assert offline.api.hf_hub_download(filled, "config.json") == cached
    with raises("LocalEntryNotFoundError"):
        offline.api.hf_hub_download(filled, "other.json")
    with raises("LocalEntryNotFoundError"):
        client.api.hf_hub_download(filled, "never.json", local_files_only=True)
    with raises("OfflineModeIsEnabled"):
        offline.api.model_info(filled)


def test_a_gated_repo_is_a_gated_repo_error(
    client: Client, filled: str, people: People, tmp_path: Path
) -> None:
    client.api.update_repo_settings(filled, gated="manual")
    for token, status in ((people.bob, 403), (None, 401)):
        stranger = client.with_token(token)
        with raises("GatedRepoError", status):
            stranger.api.hf_hub_download(filled, "config.json", cache_dir=tmp_path)
        with raises("GatedRepoError", status):
            stranger.api.snapshot_download(filled, cache_dir=tmp_path)


def test_an_unknown_token_is_told_apart_from_a_missing_repo(client: Client, filled: str) -> None:
    unknown = client.with_token("cairn_this-token-was-never-issued")
    with raises("HfHubHTTPError", 401) as info:
        unknown.api.model_info(filled)
    assert "RepositoryNotFoundError" not in info.value.kinds
    assert "Invalid credentials" in info.value.text
    with raises("HfHubHTTPError", 401):
        unknown.api.create_repo("alice/with-a-wrong-token")


def test_nobody_can_write_without_a_token(client: Client, filled: str, name: str) -> None:
    nobody = client.with_token(None)
    with raises("HfHubHTTPError", 401):
        nobody.api.create_repo(f"{name}-more")
    with raises("HfHubHTTPError", 401):
        nobody.api.create_commit(filled, [add("x.txt", b"x")], commit_message="x")


@pytest.mark.parametrize("whose", ["bob", "alice_read_only"])
def test_nobody_can_write_to_another_namespace_or_with_a_read_token(
    client: Client, filled: str, people: People, whose: str
) -> None:
    other = client.with_token(getattr(people, whose)).api
    before = client.api.model_info(filled).sha
    large = b"\0" * 200_000
    for attempt in (
        lambda: other.create_repo(f"{filled}-more"),
        lambda: other.delete_repo(filled),
        lambda: other.update_repo_settings(filled, private=True),
        lambda: other.create_branch(filled, branch="b"),
        lambda: other.create_tag(filled, tag="t"),
        lambda: other.create_commit(filled, [add("x.txt", b"x")], commit_message="x"),
        lambda: other.create_commit(filled, [add("x.bin", large)], commit_message="x"),
        lambda: other.upload_file(
            path_or_fileobj=Stream(large), path_in_repo="y.bin", repo_id=filled
        ),
        lambda: other.delete_file("config.json", filled),
    ):
        with raises("HfHubHTTPError", 403):
            attempt()
    assert client.api.model_info(filled).sha == before
    assert client.api.list_repo_refs(filled).tags == []


@pytest.mark.parametrize(
    "path", ["../outside.txt", "a/../../b.txt", "/absolute.txt", ".git/config", "a//b.txt", "a/./b"]
)
def test_a_path_that_leads_out_of_the_repo_is_refused(
    client: Client, filled: str, path: str
) -> None:
    before = client.api.model_info(filled).sha
    with pytest.raises(Exception) as info:
        client.run(_commit_raw, filled, path)
    assert "HfHubHTTPError" in info.value.kinds and info.value.status in (400, 422)
    assert client.api.model_info(filled).sha == before


def _commit_raw(repo, path):
    """What `create_commit` sends, without the checks the client makes on paths."""
    import base64
    import json

    import huggingface_hub
    from huggingface_hub import HfApi
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    lines = [
        {"key": "header", "value": {"summary": "s", "description": ""}},
        {
            "key": "file",
            "value": {
                "content": base64.b64encode(b"x").decode(), "path": path, "encoding": "base64",
            },
        },
    ]  # fmt: skip
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    url = f"{HfApi().endpoint}/api/models/{repo}/commit/main"
    headers = {"Content-Type": "application/x-ndjson", **build_hf_headers()}
    keyword = "data" if huggingface_hub.__version__.startswith("0.") else "content"
    answer = get_session().post(url, headers=headers, **{keyword: body})
    hf_raise_for_status(answer)


def test_a_file_cannot_take_the_place_of_a_folder(client: Client, filled: str) -> None:
    client.api.create_commit(filled, [add("a/b.txt", b"b")], commit_message="folder")
    with raises("HfHubHTTPError"):
        client.api.create_commit(filled, [add("a", b"file")], commit_message="file")
    with raises("HfHubHTTPError"):
        client.api.create_commit(filled, [add("config.json/x", b"x")], commit_message="below")
    assert client.api.file_exists(filled, "a/b.txt")


def test_copying_what_is_not_there_is_an_error(client: Client, filled: str) -> None:
    with raises("EntryNotFoundError"):
        client.api.create_commit(filled, [copy("nope.bin", "b.bin")], commit_message="copy")


@pytest.mark.parametrize("name", ["al--ice/x", "alice/x.git", "alice/" + "x" * 97, "alice/-x-"])
def test_a_repo_name_outside_the_rules_is_refused(client: Client, name: str) -> None:
    with pytest.raises(Exception) as info:
        client.api.create_repo(name)
    kinds = info.value.kinds
    assert "HFValidationError" in kinds or ("BadRequestError" in kinds), str(info.value)


@pytest.mark.parametrize("sdk", [None, "fortran"])
def test_a_space_without_a_known_sdk_is_a_bad_request(
    client: Client, name: str, sdk: str | None
) -> None:
    with raises("BadRequestError", 400) as info:
        client.run(_create_space_raw, name.removeprefix("alice/"), sdk)
    assert "gradio" in info.value.text
    assert not client.api.repo_exists(name, repo_type="space")


def _create_space_raw(name, sdk):
    """What `create_repo` sends, without the check the client makes on the sdk."""
    from huggingface_hub import HfApi
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    body = {"name": name, "type": "space", "sdk": sdk}
    url = f"{HfApi().endpoint}/api/repos/create"
    hf_raise_for_status(get_session().post(url, headers=build_hf_headers(), json=body))


def test_a_namespace_nobody_has_is_an_error_that_says_so(client: Client, people: People) -> None:
    with raises("HfHubHTTPError") as info:
        client.with_token(people.admin).api.create_repo("never-registered/x")
    assert info.value.status in (403, 404)
    assert "never-registered" in info.value.text


def test_a_branch_name_git_would_refuse_is_a_bad_request(client: Client, filled: str) -> None:
    for branch in ("with space", "a..b", "ends.lock", "~tilde"):
        with raises("BadRequestError", 400):
            client.api.create_branch(filled, branch=branch)


def test_every_refusal_names_its_request(client: Client) -> None:
    with raises("RepositoryNotFoundError") as info:
        client.api.model_info("alice/never-made")
    assert "Request ID: " in info.value.text


def test_a_full_namespace_says_so_before_and_after_the_digest_is_known(
    client: Client, hub: Hub
) -> None:
    org = f"full-{client.mode.name}"
    hub.cairn("org", "add", org, "--owner", "alice")
    hub.cairn("org", "quota", org, "--logical", "1MB")
    repo, weights = f"{org}/model", os.urandom(600_000)
    client.api.create_repo(repo)
    client.api.upload_file(path_or_fileobj=weights, path_in_repo="a.bin", repo_id=repo)
    for size in (500_000, len(weights)):  # by its size the second may be what is there
        with pytest.raises(ClientError, match=f"{org} may keep 1,000,000 bytes and has"):
            client.api.upload_file(
                path_or_fileobj=os.urandom(size), path_in_repo="b.bin", repo_id=repo
            )
    client.api.upload_file(path_or_fileobj=weights, path_in_repo="again.bin", repo_id=repo)
    assert not client.api.file_exists(repo, "b.bin")
