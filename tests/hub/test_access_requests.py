"""Gated repos: who is let in reads everything by every way, and nothing once it is taken back."""

import hashlib
from itertools import count

import pytest
from starlette.testclient import TestClient

from cairn.domain import Grant, Scope
from cairn.hub.app import create_app
from tests.hub.conftest import Hub, Repo

CARD = b"""---
license: mit
extra_gated_fields:
  Company: text
  I agree: checkbox
---
# Ours
"""
ANSWERS = {"answer:Company": "X", "answer:I agree": "on"}
CONTENT = b"some weights"
OID = hashlib.sha256(CONTENT).hexdigest()
NUMBERS = count()


@pytest.fixture
def hub(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """The same with one app for all of its clients."""
    app = create_app(hub.house, hub.settings)
    monkeypatch.setattr("tests.hub.conftest.create_app", lambda house, settings: app)
    return hub


@pytest.fixture
def gated(repo: Repo) -> Repo:
    """A gated repo of ann's with a small and a large file."""
    repo.put_large(CONTENT)
    done = repo.commit(repo.file("README.md", b"# Ours\n"), repo.large("w.bin", OID))
    assert done.status_code == 200
    assert settings(repo, "manual").status_code == 200
    return repo


def settings(repo: Repo, gate: object):
    return repo.client.put(f"{repo.api}/settings", json={"gated": gate})


def handle(repo: Repo, user: str, status: str, **more: str):
    body = {"user": user, "status": status, **more}
    return repo.client.post(f"{repo.api}/user-access-request/handle", json=body)


def listed(repo: Repo, status: str) -> list[dict]:
    return repo.client.get(f"{repo.api}/user-access-request/{status}").json()


def ask(repo: Repo, client: TestClient, **form: str):
    return client.post(f"{repo.files}/ask-access", data=form)


def told(hub: Hub, who: str) -> list[str]:
    return [one.text for one in hub.house.catalog.notifications.of(who, 9)]


WAYS = (
    "/{repo}/resolve/main/README.md",
    "/{repo}/raw/main/w.bin",
    "/api/models/{repo}/auth-check",
    "/api/models/{repo}/xet-read-token/main",
    "/api/cairn/models/{repo}/inspect/main",
    "/api/cairn/models/{repo}/digests/main",
    "/api/cairn/models/{repo}/security/main",
    "/api/cairn/models/{repo}/compare/main...main",
)


def statuses(repo: Repo, client: TestClient) -> set[int]:
    """What is answered to each way of reading files, a batch of git-lfs among them."""
    found = {client.get(way.format(repo=repo.name)).status_code for way in WAYS}
    seen = repo.through(client)
    asked = seen.batch({"oid": OID, "size": len(CONTENT)}, operation="download")
    return found | {asked.status_code}


def status(client: TestClient) -> int:
    """What is answered to one way: it was tried that all of them give the same answer."""
    return client.get("/api/models/ann/m/auth-check").status_code


def test_a_person_is_let_in_by_every_way_and_turned_out_again(hub: Hub, gated: Repo) -> None:
    eve = hub.client("eve")
    assert statuses(gated, eve) == {403}
    assert ask(gated, eve, message="please").json() == {"ok": True, "status": "pending"}
    assert statuses(gated, eve) == {403}
    (waits,) = listed(gated, "pending")
    assert waits["user"] == {"user": "eve", "fullname": "Eve", "email": None}
    assert (waits["message"], waits["fields"]) == ("please", None)
    assert handle(gated, "eve", "accepted").status_code == 200
    assert statuses(gated, eve) == {200}
    assert eve.post(f"{gated.api}/branch/mine", json={}).status_code == 403, "to read, no more"
    (inside,) = listed(gated, "accepted")
    assert (inside["reviewedBy"], inside["status"]) == ("ann", "accepted")
    assert handle(gated, "eve", "rejected", rejectionReason="not yet").status_code == 200
    assert statuses(gated, eve) == {403}
    assert [one["rejectionReason"] for one in listed(gated, "rejected")] == ["not yet"]


def test_a_url_that_was_signed_before_ends_with_the_grant(hub: Hub, gated: Repo) -> None:
    eve, anyone = hub.client("eve"), hub.client()
    gated.client.post(f"{gated.api}/user-access-request/grant", json={"user": "eve"})
    asked = gated.through(eve).batch({"oid": OID, "size": len(CONTENT)}, operation="download")
    href = asked.json()["objects"][0]["actions"]["download"]["href"]
    assert anyone.get(href).content == CONTENT
    handle(gated, "eve", "pending")
    refused = anyone.get(href)
    assert (refused.status_code, refused.headers["x-error-code"]) == (403, "GatedRepo")
    settings(gated, False)
    assert anyone.get(href).content == CONTENT
    gated.client.put(f"{gated.api}/settings", json={"private": True})
    assert anyone.get(href).headers["x-error-code"] == "RepoNotFound"


def test_the_error_says_what_to_do(hub: Hub, gated: Repo) -> None:
    def said(client: TestClient) -> str:
        answer = client.get("/ann/m/resolve/main/w.bin")
        assert answer.headers["x-error-code"] == "GatedRepo"
        assert answer.json()["error"] == answer.headers["x-error-message"]
        return answer.headers["x-error-message"]

    eve = hub.client("eve")
    restricted = "Access to model ann/m is restricted"
    assert said(hub.client()) == (
        f"{restricted}. You must have access to it and be authenticated to access it."
        " Please log in."
    )
    assert said(eve) == (
        f"{restricted} and you are not in the authorized list."
        " Visit http://localhost/ann/m to ask for access."
    )
    ask(gated, eve)
    waits = "Your request to access model ann/m is awaiting a review from the repo authors."
    assert said(eve) == waits
    handle(gated, "eve", "rejected")
    rejected = "Your request to access model ann/m has been rejected by the repo's authors."
    assert said(eve) == rejected
    handle(gated, "eve", "accepted")
    assert "would need the grant read:ann/m" in said(narrow(hub, "read:eve"))


def narrow(hub: Hub, *grants: str) -> TestClient:
    """Eve with a token for some repos only."""
    parsed = [Grant.parse(one) for one in grants]
    name = f"fine {next(NUMBERS)}"
    secret = hub.house.catalog.tokens.create("eve", name, Scope.FINE_GRAINED, grants=parsed)
    client = hub.client()
    client.headers["authorization"] = f"Bearer {secret}"
    return client


def test_a_token_for_some_repos_opens_a_gate_it_names_and_asks_for_nothing(
    hub: Hub, gated: Repo
) -> None:
    right, wrong = narrow(hub, "read:ann/m"), narrow(hub, "write:eve", "read:ann/other")
    assert ask(gated, right).status_code == 403
    assert statuses(gated, right) == {403}
    gated.client.post(f"{gated.api}/user-access-request/grant", json={"user": "eve"})
    assert statuses(gated, right) == {200}
    assert statuses(gated, wrong) == {403}
    asked = gated.through(right).batch({"oid": OID, "size": len(CONTENT)}, operation="download")
    href = asked.json()["objects"][0]["actions"]["download"]["href"]
    assert hub.client().get(href).content == CONTENT


def test_an_auto_gate_lets_in_who_asks_with_a_read_token(hub: Hub, gated: Repo) -> None:
    settings(gated, "auto")
    secret = hub.house.catalog.tokens.create("eve", "reads", Scope.READ)
    eve = hub.client()
    eve.headers["authorization"] = f"Bearer {secret}"
    assert status(eve) == 403
    assert eve.post("/ann/m/ask-access").json()["status"] == "accepted"
    assert status(eve) == 200
    assert ask(gated, eve).status_code == 409
    handle(gated, "eve", "pending")
    assert ask(gated, eve).status_code == 409, "whom an owner made wait does not let themselves in"
    assert status(eve) == 403


def test_what_the_card_asks_has_to_be_answered(hub: Hub, gated: Repo) -> None:
    eve = hub.client("eve")
    gated.put("README.md", CARD)
    for form, problem in (
        ({}, "fill in 'Company'"),
        ({"answer:Company": "X"}, "tick 'I agree'"),
        ({**ANSWERS, "answer:I agree": "off"}, "tick 'I agree'"),
        ({**ANSWERS, "answer:Company": "y" * 501}, "at most 500"),
        ({**ANSWERS, "message": "z" * 1001}, "1 to 1000 characters"),
    ):
        answer = ask(gated, eve, **form)
        assert (answer.status_code, problem in answer.json()["error"]) == (400, True), form
    assert ask(gated, eve, **ANSWERS, **{"answer:Else": "x"}).status_code == 200
    (waits,) = listed(gated, "pending")
    assert waits["fields"] == {"Company": "X", "I agree": True}


def test_owners_and_the_person_are_told(hub: Hub, gated: Repo) -> None:
    ask(gated, hub.client("eve"))
    ask(gated, hub.client("bob"))
    assert told(hub, "ann") == ["Requests for access to ann/m wait for an answer"], "once"
    handle(gated, "eve", "accepted")
    handle(gated, "bob", "rejected", rejectionReason="who are you?")
    handle(gated, "eve", "pending")
    assert told(hub, "eve") == [
        "Your access to ann/m was taken back; your request waits again",
        "You have access to ann/m",
    ]
    assert told(hub, "bob") == ["Your request for access to ann/m was rejected: who are you?"]
    trail = hub.house.catalog.audit.search(action="access")
    assert [(row.action, row.actor, row.detail) for row in trail] == [
        ("access.cancel", "ann", "eve"),
        ("access.reject", "ann", "bob: who are you?"),
        ("access.accept", "ann", "eve"),
        ("access.ask", "bob", "bob pending"),
        ("access.ask", "eve", "eve pending"),
    ]


def test_requests_are_listed_in_pages_and_decided_by_their_id(hub: Hub, gated: Repo) -> None:
    for who in ("eve", "bob"):
        ask(gated, hub.client(who))
    path = f"{gated.api}/user-access-request/pending?limit=1"
    first = gated.client.get(path)
    assert [one["user"]["user"] for one in first.json()] == ["eve"]
    second = gated.client.get(first.links["next"]["url"])
    assert [one["user"]["user"] for one in second.json()] == ["bob"] and "next" not in second.links
    body = {"requestId": second.json()[0]["requestId"], "status": "accepted"}
    handled = f"{gated.api}/user-access-request/handle"
    assert gated.client.post(handled, json=body).status_code == 200
    assert [one["user"]["user"] for one in listed(gated, "accepted")] == ["bob"]
    for wrong, status in (
        ({"requestId": "0" * 24, "status": "accepted"}, 404),
        ({"user": "nobody", "status": "accepted"}, 404),
        ({"user": "bob", "status": "accepted"}, 404),
        ({"user": "bob", "status": "maybe"}, 400),
        ({"user": "bob", "status": "pending", "rejectionReason": "x"}, 400),
        ({"status": "pending"}, 400),
    ):
        assert gated.client.post(handled, json=wrong).status_code == status, wrong
    granted = f"{gated.api}/user-access-request/grant"
    assert gated.client.post(granted, json={"user": "bob"}).status_code == 400
    assert gated.client.post(granted, json={"user": "lab"}).status_code == 404


def test_a_gate_that_is_taken_away_and_put_back_knows_who_was_inside(hub: Hub, gated: Repo) -> None:
    eve = hub.client("eve")
    ask(gated, eve)
    handle(gated, "eve", "accepted")
    settings(gated, False)
    assert listed(gated, "accepted") == {
        "error": "ann/m is not gated: nobody has to ask for access"
    }
    settings(gated, "auto")
    assert status(eve) == 200
    assert status(hub.client("bob")) == 403
