"""Gated repos as the stock clients know them: asked for, decided by owners, read by who is in."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.compat.clients import OLD, XET, Client, ClientError, Identity, Mode, raises
from tests.compat.conftest import People


@pytest.fixture(params=(XET, OLD), ids=("new", "old"))  # how large files travel is no matter
def client(request: pytest.FixtureRequest, clients: Callable[[Mode], Client]) -> Client:
    """The stock client of today and the last before 1.0, acting for alice."""
    return clients(request.param)


@pytest.fixture
def gated(client: Client, repo: str) -> str:
    """A gated repo of alice's with a file."""
    client.api.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id=repo)
    client.api.update_repo_settings(repo, gated="manual")
    return repo


def ask(client: Client, repo: str, token: str) -> int:
    """What the client's own test-suite does to ask for access."""

    def post(repo: str, token: str) -> int:
        from huggingface_hub import constants
        from huggingface_hub.utils import build_hf_headers, get_session

        url = f"{constants.ENDPOINT}/{repo}/ask-access"
        return get_session().post(url, headers=build_hf_headers(token=token)).status_code

    return client.run(post, repo, token)


def states(client: Client, repo: str) -> dict[str, list[str]]:
    listing = {
        "pending": client.api.list_pending_access_requests,
        "accepted": client.api.list_accepted_access_requests,
        "rejected": client.api.list_rejected_access_requests,
    }
    found = {state: list(call(repo)) for state, call in listing.items()}
    assert all(one.status == state for state, listed in found.items() for one in listed)
    return {state: [one.username for one in listed] for state, listed in found.items()}


def reads(reader: Identity, repo: str, folder: Path) -> bool:
    """Whether a download succeeds; the cache is a new one each time."""
    try:
        return bool(reader.api.hf_hub_download(repo, "config.json", cache_dir=folder))
    except ClientError as error:
        assert "GatedRepoError" in error.kinds, error
        return False


def test_a_request_goes_through_every_state(
    client: Client, gated: str, people: People, tmp_path: Path
) -> None:
    bob = client.with_token(people.bob)
    assert not reads(bob, gated, tmp_path / "1")
    assert ask(client, gated, people.bob) == 200
    assert states(client, gated) == {"pending": ["bob"], "accepted": [], "rejected": []}
    (waits,) = client.api.list_pending_access_requests(gated)
    assert (waits.fullname, waits.email, waits.fields) == ("bob", None, None)
    assert waits.timestamp.tzinfo is not None
    assert not reads(bob, gated, tmp_path / "2")
    client.api.accept_access_request(gated, "bob")
    assert states(client, gated)["accepted"] == ["bob"]
    assert reads(bob, gated, tmp_path / "3")
    assert bob.api.snapshot_download(gated, cache_dir=tmp_path / "all")
    bob.api.auth_check(gated)
    client.api.cancel_access_request(gated, "bob")
    assert states(client, gated)["pending"] == ["bob"]
    assert not reads(bob, gated, tmp_path / "4")
    client.api.reject_access_request(gated, "bob", rejection_reason="not now")
    assert states(client, gated)["rejected"] == ["bob"]
    client.api.accept_access_request(gated, "bob")
    assert reads(bob, gated, tmp_path / "5")


def test_what_cannot_be_decided_is_the_error_that_the_client_documents(
    client: Client, gated: str, people: People
) -> None:
    with raises("HfHubHTTPError", 404):
        client.api.accept_access_request(gated, "bob")  # who has not asked
    client.api.grant_access(gated, "bob")
    with raises("HfHubHTTPError", 400):
        client.api.grant_access(gated, "bob")
    with raises("HfHubHTTPError", 404):
        client.api.grant_access(gated, "nobody-of-this-name")
    with raises("HfHubHTTPError", 404):
        client.api.accept_access_request(gated, "bob")
    client.api.reject_access_request(gated, "bob", rejection_reason=None)
    with raises("HfHubHTTPError", 404):
        client.api.reject_access_request(gated, "bob", rejection_reason=None)
    client.api.cancel_access_request(gated, "bob")
    with raises("HfHubHTTPError", 404):
        client.api.cancel_access_request(gated, "bob")
    for other in (client.with_token(people.bob), client.with_token(people.alice_read_only)):
        with raises("HfHubHTTPError", 403):
            list(other.api.list_pending_access_requests(gated))
    client.api.update_repo_settings(gated, gated=False)
    with raises("HfHubHTTPError", 400):
        list(client.api.list_pending_access_requests(gated))


def test_a_request_is_decided_by_its_id(default_client: Client, name: str, people: People) -> None:
    api = default_client.api
    api.create_repo(name)
    api.update_repo_settings(name, gated="manual")
    assert ask(default_client, name, people.bob) == 200
    (waits,) = api.list_pending_access_requests(name)
    api.accept_access_request(name, request_id=waits.request_id)
    assert states(default_client, name)["accepted"] == ["bob"]


def test_the_error_says_what_to_do(
    client: Client, gated: str, people: People, tmp_path: Path
) -> None:
    def told(token: str | None) -> str:
        with raises("GatedRepoError") as info:
            client.with_token(token).api.hf_hub_download(
                gated, "config.json", cache_dir=tmp_path / "cache"
            )
        return info.value.text

    assert "You must have access to it and be authenticated to access it" in told(None)
    assert f"/{gated} to ask for access" in told(people.bob)
    ask(client, gated, people.bob)
    assert "awaiting a review from the repo authors" in told(people.bob)
    client.api.reject_access_request(gated, "bob", rejection_reason="no")
    assert "has been rejected by the repo's authors" in told(people.bob)


def test_an_auto_gate_opens_to_who_asks(
    default_client: Client, name: str, people: People, tmp_path: Path
) -> None:
    api = default_client.api
    api.create_repo(name)
    api.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id=name)
    api.update_repo_settings(name, gated="auto")
    bob = default_client.with_token(people.bob)
    assert not reads(bob, name, tmp_path / "1")
    assert ask(default_client, name, people.bob) == 200
    assert reads(bob, name, tmp_path / "2")
