"""Repos, their settings and their refs, as the stock clients make and change them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.compat.clients import XET, Client, Mode, add, raises
from tests.compat.conftest import People
from tests.compat.hubs import Hub


def test_whoami_tells_the_user_the_organisations_and_the_token(client: Client) -> None:
    me = client.api.whoami()
    assert (me["name"], me["type"]) == ("alice", "user")
    assert "acme" in [org["name"] for org in me["orgs"]]  # other tests give alice more
    assert me["auth"]["accessToken"]["role"] == "write"


def test_whoami_tells_a_read_token_from_a_write_token(client: Client, people: People) -> None:
    me = client.with_token(people.alice_read_only).api.whoami()
    assert me["auth"]["accessToken"]["role"] == "read"


@pytest.mark.parametrize("kind", ["model", "dataset", "space"])
def test_a_repo_of_each_kind_is_created_found_and_deleted(
    client: Client, name: str, hub: Hub, kind: str
) -> None:
    sdk = {"space_sdk": "static"} if kind == "space" else {}
    url = client.api.create_repo(name, repo_type=kind, **sdk)
    prefix = "" if kind == "model" else f"{kind}s/"
    assert url == f"{hub.url}/{prefix}{name}"
    assert client.api.repo_exists(name, repo_type=kind)
    others = {"model", "dataset", "space"} - {kind}
    assert not any(client.api.repo_exists(name, repo_type=other) for other in others)
    assert client.api.list_repo_files(name, repo_type=kind) == [".gitattributes"]
    client.api.delete_repo(name, repo_type=kind)
    assert not client.api.repo_exists(name, repo_type=kind)


def test_a_repo_name_without_a_namespace_is_made_in_the_users_own(
    client: Client, name: str
) -> None:
    bare = name.removeprefix("alice/")
    assert client.api.create_repo(bare).endswith(name)
    assert client.api.repo_exists(name)


def test_creating_a_repo_twice_is_a_conflict_unless_that_is_fine(client: Client, repo: str) -> None:
    with raises("HfHubHTTPError", 409):
        client.api.create_repo(repo)
    assert client.api.create_repo(repo, exist_ok=True).endswith(repo)


def test_a_repo_is_created_in_an_organisation_by_its_members_only(
    client: Client, name: str, people: People
) -> None:
    theirs = name.replace("alice/", "acme/")
    with raises("HfHubHTTPError", 403):
        client.with_token(people.bob).api.create_repo(theirs)
    client.api.create_repo(theirs)
    assert client.api.model_info(theirs).author == "acme"


def test_deleting_what_is_not_there_is_an_error_unless_that_is_fine(
    client: Client, name: str
) -> None:
    with raises("RepositoryNotFoundError"):
        client.api.delete_repo(name)
    client.api.delete_repo(name, missing_ok=True)


def test_a_private_repo_looks_missing_to_everybody_else(
    client: Client, name: str, people: People
) -> None:
    client.api.create_repo(name, private=True)
    client.api.upload_file(path_or_fileobj=b"mine", path_in_repo="a.txt", repo_id=name)
    assert client.api.model_info(name).private is True
    for stranger in (client.with_token(people.bob), client.with_token(None)):
        assert not stranger.api.repo_exists(name)
        assert name not in [one.id for one in stranger.api.list_models(author="alice")]
        for call in (stranger.api.model_info, stranger.api.list_repo_files):
            with raises("RepositoryNotFoundError"):
                call(name)
        with raises("RepositoryNotFoundError"):
            stranger.api.upload_file(path_or_fileobj=b"x", path_in_repo="b.txt", repo_id=name)


def test_settings_make_a_repo_private_and_public_again(
    client: Client, repo: str, people: People
) -> None:
    stranger = client.with_token(people.bob)
    client.api.update_repo_settings(repo, private=True)
    assert not stranger.api.repo_exists(repo)
    client.api.update_repo_settings(repo, private=False)
    assert stranger.api.repo_exists(repo)


def test_a_gated_repo_shows_its_description_and_keeps_its_files(
    client: Client, repo: str, people: People, tmp_path: Path
) -> None:
    client.api.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id=repo)
    client.api.update_repo_settings(repo, gated="auto")
    assert client.api.model_info(repo).gated == "auto"
    assert client.api.hf_hub_download(repo, "config.json")
    for stranger in (client.with_token(people.bob), client.with_token(None)):
        assert stranger.api.model_info(repo).gated == "auto"
        with raises("GatedRepoError"):
            stranger.api.auth_check(repo)
        with raises("GatedRepoError"):
            stranger.api.hf_hub_download(repo, "config.json", cache_dir=tmp_path)
    client.api.update_repo_settings(repo, gated=False)
    client.with_token(people.bob).api.auth_check(repo)


def test_auth_check_passes_where_reading_is_allowed(
    client: Client, name: str, people: People
) -> None:
    client.api.create_repo(name, private=True)
    client.api.auth_check(name)
    client.with_token(people.admin).api.auth_check(name)
    with raises("RepositoryNotFoundError"):
        client.with_token(people.bob).api.auth_check(name)


def test_auth_check_for_writing_needs_a_token_that_may_write(
    default_client: Client, name: str, people: People
) -> None:
    default_client.api.create_repo(name)
    default_client.api.auth_check(name, write=True)
    for token in (people.bob, people.alice_read_only):
        with raises("HfHubHTTPError", 403):
            default_client.with_token(token).api.auth_check(name, write=True)


def test_branches_are_made_listed_and_deleted(client: Client, repo: str) -> None:
    first = client.api.model_info(repo).sha
    client.api.create_branch(repo, branch="dev")
    with raises("HfHubHTTPError", 409):
        client.api.create_branch(repo, branch="dev")
    client.api.create_branch(repo, branch="dev", exist_ok=True)
    done = client.api.create_commit(
        repo, [add("only-here.txt", b"dev")], commit_message="on dev", revision="dev"
    )
    refs = client.api.list_repo_refs(repo)
    assert {(b.name, b.ref, b.target_commit) for b in refs.branches} == {
        ("main", "refs/heads/main", first),
        ("dev", "refs/heads/dev", done.oid),
    }
    assert client.api.file_exists(repo, "only-here.txt", revision="dev")
    assert not client.api.file_exists(repo, "only-here.txt")
    client.api.delete_branch(repo, branch="dev")
    assert [b.name for b in client.api.list_repo_refs(repo).branches] == ["main"]
    with raises("RevisionNotFoundError"):
        client.api.model_info(repo, revision="dev")


def test_the_default_branch_cannot_be_deleted(client: Client, repo: str) -> None:
    with raises("HfHubHTTPError", 403):
        client.api.delete_branch(repo, branch="main")


@pytest.mark.parametrize("branch", ["feature/a/b", "v1.0-rc_1", "größe", "a+b"])
def test_a_branch_name_may_have_slashes_and_other_signs(
    client: Client, repo: str, branch: str
) -> None:
    client.api.create_branch(repo, branch=branch)
    client.api.upload_file(
        path_or_fileobj=b"there", path_in_repo="d/f.txt", repo_id=repo, revision=branch
    )
    assert client.api.revision_exists(repo, branch)
    assert "d/f.txt" in client.api.list_repo_files(repo, revision=branch)
    [found] = client.api.get_paths_info(repo, ["d/f.txt"], revision=branch)
    assert found.size == 5
    local = client.api.hf_hub_download(repo, "d/f.txt", revision=branch)
    assert Path(local).read_text() == "there"


def test_a_tag_holds_on_to_a_commit(client: Client, repo: str) -> None:
    before = client.api.model_info(repo).sha
    client.api.create_tag(repo, tag="v1.0", tag_message="the first")
    with raises("HfHubHTTPError", 409):
        client.api.create_tag(repo, tag="v1.0")
    client.api.create_tag(repo, tag="v1.0", exist_ok=True)
    client.api.upload_file(path_or_fileobj=b"later", path_in_repo="later.txt", repo_id=repo)
    client.api.create_tag(repo, tag="old", revision=before)
    tags = client.api.list_repo_refs(repo).tags
    assert {(t.name, t.ref, t.target_commit) for t in tags} == {
        ("v1.0", "refs/tags/v1.0", before),
        ("old", "refs/tags/old", before),
    }
    assert not client.api.file_exists(repo, "later.txt", revision="v1.0")
    client.api.delete_tag(repo, tag="v1.0")
    with raises("RevisionNotFoundError"):
        client.api.delete_tag(repo, tag="v1.0")
    with raises("RevisionNotFoundError"):
        client.api.create_tag(repo, tag="v2", revision="no-such-branch")


def test_a_commit_is_found_by_the_first_digits_of_its_id(client: Client, repo: str) -> None:
    done = client.api.create_commit(repo, [add("a.txt", b"a")], commit_message="a")
    assert client.api.model_info(repo, revision=done.oid[:8]).sha == done.oid


def test_a_repo_made_by_one_client_is_the_same_repo_to_the_others(
    clients: Callable[[Mode], Client], client: Client, repo: str
) -> None:
    assert clients(XET).api.model_info(repo).sha == client.api.model_info(repo).sha
