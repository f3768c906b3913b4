"""Requests for access to gated repos: asked once, decided by owners, counted for files."""

import pytest

from cairn.catalog import Catalog, RepoRecord
from cairn.domain import AccessState, Actor, Grant, Scope
from cairn.errors import ConflictError, NotFoundError, RequestError
from tests.catalog.conftest import Clock
from tests.catalog.histories import commit, new_repo, put_large

PENDING, ACCEPTED, REJECTED = AccessState
WEIGHTS = put_large("w.bin", b"weights")


@pytest.fixture
def repo(catalog: Catalog) -> RepoRecord:
    """A gated repo with a file, and two people who want it."""
    made = new_repo(catalog, "ada/gated")
    commit(catalog, made, WEIGHTS)
    for name in ("Eve", "bob"):
        catalog.accounts.create_user(name, email=f"{name}@example.org")
    return catalog.repos.update(made.id, gated="manual")


def person(catalog: Catalog, name: str, scope: Scope = Scope.READ, *grants: str) -> Actor:
    account = catalog.accounts.get(name)
    return Actor(account, scope, grants=tuple(map(Grant.parse, grants)))


def ask(catalog: Catalog, repo: RepoRecord, name: str, *, at_once: bool = False) -> None:
    by = person(catalog, name)
    catalog.access_requests.ask(
        repo, by, "please", {"Company": "X", "I agree": True}, at_once=at_once
    )


def may_open(catalog: Catalog, actor: Actor) -> bool:
    """Whether the weights count as theirs: what deduplication and Xet ask."""
    return catalog.history.readable_blob(actor, WEIGHTS.blob.digest) is not None


def test_a_request_waits_and_is_decided(catalog: Catalog, repo: RepoRecord, clock: Clock) -> None:
    kept = catalog.access_requests
    assert kept.find(repo.uid, "eve") is None and kept.state_of(repo.uid, "eve") is None
    ask(catalog, repo, "Eve")
    asked = kept.find(repo.uid, "eve")
    assert asked and (asked.person.name, asked.person.email) == ("Eve", "Eve@example.org")
    assert (asked.state, asked.asked_at, asked.decided_by) == (PENDING, clock.now, None)
    assert (asked.message, asked.answers) == ("please", {"Company": "X", "I agree": True})
    clock.advance(hours=1)
    ada = person(catalog, "ada")
    done = kept.decide(repo, "EVE", ACCEPTED, "", ada)
    assert (done.state, done.decided_by, done.decided_at) == (ACCEPTED, "ada", clock.now)
    done = kept.decide(repo, "eve", REJECTED, "not now", ada)
    assert (done.state, done.reason) == (REJECTED, "not now")
    assert kept.decide(repo, "eve", PENDING, "", ada).reason == ""
    assert kept.get(repo.uid, asked.uid).state is kept.state_of(repo.uid, "EVE") is PENDING


def test_nothing_is_decided_twice(catalog: Catalog, repo: RepoRecord) -> None:
    for name, state in (("Eve", PENDING), ("bob", ACCEPTED), ("ada", REJECTED)):
        ask(catalog, repo, name)
        if state is not PENDING:
            catalog.access_requests.decide(repo, name, state, "", None)
        with pytest.raises(ConflictError, match="already"):
            catalog.access_requests.decide(repo, name, state, "", None)
        with pytest.raises(ConflictError):
            ask(catalog, repo, name)


def test_who_never_asked_can_be_let_in_and_not_decided_about(
    catalog: Catalog, repo: RepoRecord
) -> None:
    kept = catalog.access_requests
    with pytest.raises(NotFoundError):
        kept.decide(repo, "bob", ACCEPTED, "", None)
    given = kept.grant(repo, "BOB", person(catalog, "ada"))
    assert (given.state, given.was_asked, given.decided_by) == (ACCEPTED, False, "ada")
    with pytest.raises(ConflictError, match="accepted already"):
        kept.grant(repo, "bob", None)
    ask(catalog, repo, "Eve")
    assert kept.grant(repo, "Eve", None).was_asked
    for unknown in ("nobody", "a\0b", "lab"):
        if unknown == "lab":
            catalog.accounts.create_organisation("lab")
        with pytest.raises(NotFoundError):
            kept.grant(repo, unknown, None)


def test_an_open_gate_lets_in_at_once_but_not_whom_an_owner_made_wait(
    catalog: Catalog, repo: RepoRecord
) -> None:
    kept = catalog.access_requests
    ask(catalog, repo, "Eve", at_once=True)
    found = kept.find(repo.uid, "Eve")
    assert found and (found.state, found.decided_by) == (ACCEPTED, None)
    kept.decide(repo, "Eve", PENDING, "", None)
    with pytest.raises(ConflictError, match="waits"):
        ask(catalog, repo, "Eve", at_once=True)
    ask(catalog, repo, "bob")  # while owners decided
    ask(catalog, repo, "bob", at_once=True)
    found = kept.find(repo.uid, "bob")
    assert found and found.state is ACCEPTED


def test_requests_are_counted_and_listed_by_state(
    catalog: Catalog, repo: RepoRecord, clock: Clock
) -> None:
    kept = catalog.access_requests
    for name in ("Eve", "bob", "ada"):
        ask(catalog, repo, name)
        clock.advance(hours=1)
    assert kept.counts(repo.uid) == {PENDING: 3, ACCEPTED: 0, REJECTED: 0}
    assert [one.person.name for one in kept.listed(repo.uid, PENDING, 2)] == ["Eve", "bob"]
    assert [one.person.name for one in kept.listed(repo.uid, PENDING, 2, 2)] == ["ada"]
    for name in ("Eve", "bob"):
        kept.decide(repo, name, ACCEPTED, "", None)
    assert [one.person.name for one in kept.listed(repo.uid, ACCEPTED, 9)] == ["bob", "Eve"]
    other = new_repo(catalog, "ada/other")
    assert kept.listed(other.uid, ACCEPTED, 9) == []
    with pytest.raises(NotFoundError):
        kept.get(other.uid, kept.listed(repo.uid, PENDING, 1)[0].uid)
    catalog.repos.delete(repo.id)
    assert kept.find(repo.uid, "Eve") is None


def test_a_person_finds_what_they_asked_for(
    catalog: Catalog, repo: RepoRecord, clock: Clock
) -> None:
    ask(catalog, repo, "Eve")
    clock.advance(hours=1)
    other = new_repo(catalog, "ada/other")
    catalog.repos.update(other.id, gated="auto")
    catalog.access_requests.grant(other, "Eve", None)
    ask(catalog, repo, "bob")

    def found() -> list[tuple[str, AccessState]]:
        listed = catalog.access_requests.of_person(person(catalog, "Eve"), 9)
        assert {one.person.name for _, one in listed} <= {"Eve"}
        return [(repo.full_name, one.state) for repo, one in listed]

    assert found() == [("ada/other", ACCEPTED), ("ada/gated", PENDING)]
    catalog.repos.update(other.id, private=True)
    assert found() == [("ada/gated", PENDING)], "what became private is not told of"
    catalog.repos.update(repo.id, gated="off")
    assert found() == []


def test_only_who_is_accepted_may_build_on_the_files(catalog: Catalog, repo: RepoRecord) -> None:
    eve = person(catalog, "Eve")
    assert may_open(catalog, person(catalog, "ada")) and not may_open(catalog, eve)
    ask(catalog, repo, "Eve")
    assert not may_open(catalog, eve)
    catalog.access_requests.decide(repo, "Eve", ACCEPTED, "", None)
    assert may_open(catalog, eve)
    assert not may_open(catalog, person(catalog, "bob")) and not may_open(catalog, Actor())
    for grants, opens in (
        (["read:ada/gated"], True),
        (["read:ada"], True),
        (["write:Eve"], False),
        (["read:datasets/ada/gated", "read:ada/other"], False),
    ):
        narrow = person(catalog, "Eve", Scope.FINE_GRAINED, *grants)
        assert may_open(catalog, narrow) is opens, grants
    catalog.repos.update(repo.id, private=True)
    assert not may_open(catalog, eve), "a grant opens gates, not private repos"
    catalog.repos.update(repo.id, private=False)
    catalog.access_requests.decide(repo, "Eve", REJECTED, "", None)
    assert not may_open(catalog, eve)


def test_what_no_text_column_holds_is_refused(catalog: Catalog, repo: RepoRecord) -> None:
    for message, answers in (("\ud800", {}), ("", {"a\0": "b"}), ("", {"a": "\ud800"})):
        with pytest.raises(RequestError, match="NUL"):
            catalog.access_requests.ask(
                repo, person(catalog, "Eve"), message, answers, at_once=False
            )
