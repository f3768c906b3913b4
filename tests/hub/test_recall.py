"""Recalls: who has what turned out to be dangerous, what was made from it, and who is told."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace

import pytest

from cairn.domain import Digest, KnownFile, OrgRole, Scope
from cairn.hub.worker import Worker
from cairn.scanner import gather
from cairn.workflows.recall import descendants, standing_recalls, tell_changes
from cairn.workflows.rejudging import Rescans
from cairn.workflows.stored_scans import scan_blob, scan_pending
from tests.hub.conftest import Hub, Repo

WEIGHTS = b"these are weights"
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()


def card(base: str) -> bytes:
    return f"---\nbase_model: {base}\n---\n# A model\n".encode()


@pytest.fixture
def hub(hub: Hub) -> Iterator[Hub]:
    """A file in two repos, one of them private; a model made from one, and one made from that."""
    hub = replace(hub, settings=hub.settings.model_copy(update={"scan_policy": "warn"}))
    accounts, tokens = hub.house.catalog.accounts, hub.house.catalog.tokens
    accounts.create_user("root", full_name="Root", is_admin=True)
    hub.tokens["root"] = tokens.create("root", "all", Scope.WRITE)
    accounts.set_member("lab", "bob", OrgRole.WRITE)
    Repo(hub.client("ann"), "ann/base").create().put("weights.txt", WEIGHTS)
    Repo(hub.client("ann"), "lab/secret").create(private=True).put("sub/weights.txt", WEIGHTS)
    Repo(hub.client("bob"), "bob/tuned").create().put("README.md", card("ann/base"))
    Repo(hub.client("eve"), "eve/merged").create().put("README.md", card("Bob/Tuned"))
    Repo(hub.client("eve"), "eve/nosy").create().put("README.md", card("lab/secret"))
    for _ in scan_pending(hub.house, lambda blob, name: scan_blob(hub.house, blob, name, gather)):
        pass
    yield hub


def report(hub: Hub) -> None:
    """Somebody reports the file, and the worker judges by it."""
    known = KnownFile(Digest.sha256(SHA256), "steals tokens", "https://example.org/1")
    hub.house.advisories.keep([], [known])
    rescans = Rescans(hub.house)
    assert rescans.take_turn()
    assert [one.name for one in rescans.judge(0)] == ["weights.txt"]
    rescans.end_turn()


def notes(hub: Hub, name: str) -> list[tuple[str, str]]:
    return [(one.kind, one.text) for one in hub.house.catalog.notifications.of(name, 50)]


def test_a_recall_names_all_that_have_the_file_and_what_was_made_from_them(hub: Hub) -> None:
    assert standing_recalls(hub.house, 9) == []
    report(hub)
    (found,) = standing_recalls(hub.house, 9)
    assert [(str(one.repo), one.path, len(one.revisions)) for one in found.holdings] == [
        ("ann/base", "weights.txt", 1),
        ("lab/secret", "sub/weights.txt", 1),
    ]
    assert {one.refs for one in found.holdings} == {("refs/heads/main",)}
    assert [(one.repo.full_name, one.base.full_name) for one in found.descendants] == [
        ("bob/tuned", "ann/base"),
        ("eve/nosy", "lab/secret"),
        ("eve/merged", "bob/tuned"),
    ]
    assert "steals tokens" in found.findings[0].message
    assert found.changes[0].before.value == "clean"


def test_cards_that_go_in_circles_end(hub: Hub) -> None:
    Repo(hub.client("ann"), "ann/base").put("README.md", card("eve/merged"))
    (base,) = (one for one in hub.house.catalog.repos.search(query()).repos)
    assert [one.repo.full_name for one in descendants(hub.house, [base.id])] == [
        "bob/tuned",
        "eve/merged",
    ]


def query():
    from cairn.catalog import RepoQuery
    from cairn.domain import RepoType

    return RepoQuery(RepoType.MODEL, text="base", author="ann")


def test_owners_makers_and_administrators_are_told_once_and_nobody_of_what_is_private(
    hub: Hub,
) -> None:
    report(hub)
    (told,) = tell_changes(hub.house)
    assert (told.repos, told.descendants) == (2, 3)
    judged = "is judged malicious now: do not load it"
    assert ("recall", f"ann/base: weights.txt {judged}") in notes(hub, "ann")
    assert ("recall", f"lab/secret: sub/weights.txt {judged}") in notes(hub, "bob")
    assert any("bob/tuned is made from ann/base" in text for _, text in notes(hub, "bob"))
    (eve,) = notes(hub, "eve")
    assert "eve/merged is made from bob/tuned" in eve[1]
    (root,) = notes(hub, "root")
    assert "repos that hold it: 2, made from these: 3" in root[1]
    assert list(tell_changes(hub.house)) == []


def test_what_was_told_but_not_noted_is_told_again_and_not_shown_twice(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    report(hub)
    changes = hub.house.catalog.verdict_changes
    with monkeypatch.context() as killed:
        killed.setattr(type(changes), "told", lambda *_: None)
        assert len(list(tell_changes(hub.house))) == 1
    before = notes(hub, "ann")
    assert len(list(tell_changes(hub.house))) == 1
    assert notes(hub, "ann") == before


def test_owners_are_told_when_it_is_over(hub: Hub) -> None:
    report(hub)
    worker = Worker(hub.house, hub.settings)
    worker.scanning.tell()
    hub.house.advisories.keep([], [])
    worker.scanning.scan()
    worker._scans.close()
    worker.scanning.tell()
    assert ("verdict", "ann/base: weights.txt is judged clean now, no longer malicious") in notes(
        hub, "ann"
    )
    assert standing_recalls(hub.house, 9) == []


def test_administrators_see_recalls_in_the_api_and_on_a_page(hub: Hub) -> None:
    report(hub)
    root, ann = hub.client("root"), hub.client("ann")
    (told,) = root.get("/api/cairn/recalls").json()
    assert told == root.get(f"/api/cairn/recalls/{SHA256}").json()
    assert (told["verdict"], told["holdings"][0]["refs"]) == ("malicious", ["refs/heads/main"])
    assert root.get(f"/api/cairn/recalls/{'ab' * 32}").status_code == 404
    page = root.get("/settings/recalls", headers={"accept": "text/html"})
    assert page.status_code == 200
    for word in ("lab/secret", "sub/", "eve/merged", "steals tokens", "<progress"):
        assert word in page.text
    for path in ("/api/cairn/recalls", f"/api/cairn/recalls/{SHA256}", "/settings/recalls"):
        assert ann.get(path).status_code == 403
    assert hub.client().get("/api/cairn/recalls").status_code == 401
    assert hub.client().get("/settings/recalls").status_code == 303
