"""What people are told: once, bounded, by account."""

import pytest

from cairn.catalog import Catalog, notifications
from cairn.errors import RequestError
from tests.catalog.conftest import Clock
from tests.catalog.histories import new_repo


@pytest.fixture
def people(catalog: Catalog) -> Catalog:
    catalog.accounts.create_user("Ada")
    catalog.accounts.create_user("bob")
    return catalog


def test_each_of_those_named_is_told_and_nobody_else(people: Catalog) -> None:
    kept = people.notifications
    assert kept.add(["ada", "ADA", "nobody"], "verdict", "it is worse", "/ada/one") == 1
    (one,) = kept.of("ada", 10)
    assert (one.kind, one.text, one.link) == ("verdict", "it is worse", "/ada/one")
    assert one.read_at is None and one.repo is None
    assert kept.of("bob", 10) == []


def test_the_same_is_not_told_again_before_it_was_read(people: Catalog, clock: Clock) -> None:
    kept = people.notifications
    assert kept.add(["ada"], "verdict", "it is worse", "") == 1
    assert kept.add(["ada", "bob"], "verdict", "it is worse", "") == 1
    assert kept.mark_read("ada", kept.of("ada", 1)[0].id) == 1
    assert kept.add(["ada"], "verdict", "it is worse", "") == 1
    assert [one.read_at for one in kept.of("ada", 10)] == [None, clock.now]


def test_reading_goes_up_to_what_was_seen(people: Catalog) -> None:
    kept = people.notifications
    for number in range(3):
        kept.add(["ada"], "verdict", f"text {number}", "")
    newest, middle, _ = kept.of("ada", 10)
    assert kept.mark_read("ada", middle.id) == 2
    assert kept.count_unread("ada") == 1
    assert kept.of("ada", 10, unread=True) == [newest]
    assert [one.text for one in kept.of("ada", 10, before=middle.id)] == ["text 0"]
    assert kept.mark_read("bob", newest.id) == 0


def test_the_oldest_go_when_there_are_too_many(
    people: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifications, "MOST_KEPT", 3)
    kept = people.notifications
    for number in range(5):
        kept.add(["ada"], "verdict", f"text {number}", "")
    kept.add(["bob"], "verdict", "text", "")
    assert [one.text for one in kept.of("ada", 10)] == ["text 4", "text 3", "text 2"]
    assert kept.count_unread("bob") == 1


def test_a_notification_names_its_repo_while_there_is_one(catalog: Catalog) -> None:
    repo = new_repo(catalog, "ada/one")
    catalog.notifications.add(["ada"], "verdict", "it is worse", "", repo.uid)
    assert catalog.notifications.of("ada", 1)[0].repo == repo.id
    catalog.repos.delete(repo.id)
    assert catalog.notifications.of("ada", 1)[0].repo is None


@pytest.mark.parametrize("text", ["", "x" * 1001, "nul \0"])
def test_what_is_no_text_of_a_notification_is_refused(people: Catalog, text: str) -> None:
    with pytest.raises(RequestError):
        people.notifications.add(["ada"], "verdict", text, "")
