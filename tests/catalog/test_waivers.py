"""Waivers, appeals and policies of repos: who decided what, for where and until when."""

import hashlib
from datetime import timedelta

import pytest

from cairn.catalog import Catalog, RepoPolicy, appeals
from cairn.domain import Actor, Blob, Digest, LogKind, ScanPolicy
from cairn.errors import ConflictError, NotFoundError
from tests.catalog.conftest import Clock
from tests.catalog.histories import new_repo

ONE, TWO = (Digest.sha256(hashlib.sha256(text).hexdigest()) for text in (b"1", b"2"))
RULE = "pickle-imports"


def live(catalog: Catalog, uid: str | None, digest: Digest = ONE) -> list[int]:
    return [one.id for one in catalog.waivers.live([digest], uid).get(digest, [])]


def test_a_waiver_holds_where_it_was_made_for(catalog: Catalog) -> None:
    here, there = new_repo(catalog, "ada/one"), new_repo(catalog, "ada/two")
    waivers = catalog.waivers
    (own,) = waivers.add(ONE, [RULE], here, "known", None, None)
    (everywhere,) = waivers.add(TWO, [RULE], None, "known", None, None)
    assert live(catalog, here.uid) == [own.id]
    assert live(catalog, there.uid) == live(catalog, None) == []
    assert live(catalog, there.uid, TWO) == live(catalog, None, TWO) == [everywhere.id]
    assert (own.repo, everywhere.repo, everywhere.repo_uid) == (here.id, None, None)


def test_a_waiver_ends_and_can_be_made_again(catalog: Catalog, clock: Clock) -> None:
    repo = new_repo(catalog, "ada/one")
    soon = clock.now + timedelta(days=1)
    catalog.waivers.add(ONE, [RULE], repo, "for now", soon, None)
    with pytest.raises(ConflictError, match="waived there already"):
        catalog.waivers.add(ONE, [RULE], repo, "again", None, None)
    assert len(live(catalog, repo.uid)) == 1
    clock.advance(days=1)
    assert live(catalog, repo.uid) == []
    catalog.waivers.add(ONE, [RULE], repo, "again", None, None)
    assert [one.reason for one in catalog.waivers.of(ONE, repo.uid, 10)] == ["again", "for now"]


def test_a_revoked_waiver_stays_to_be_read(catalog: Catalog, clock: Clock) -> None:
    repo = new_repo(catalog, "ada/one")
    ada = Actor(catalog.accounts.get("ada"))
    (made,) = catalog.waivers.add(ONE, [RULE], repo, "known", None, ada)
    clock.advance(hours=1)
    revoked = catalog.waivers.revoke(made.id, "not so", None)
    assert (revoked.revoked_by, revoked.revoke_reason) == ("system", "not so")
    assert revoked.revoked_at == clock.now and not revoked.is_live(clock.now)
    assert live(catalog, repo.uid) == []
    with pytest.raises(ConflictError, match="before"):
        catalog.waivers.revoke(made.id, "again", None)
    with pytest.raises(NotFoundError):
        catalog.waivers.get(made.id + 1)
    assert [row.action for row in catalog.audit.recent(2)] == ["waiver.revoke", "waiver.add"]


def test_waivers_wait_for_the_transparency_log(catalog: Catalog) -> None:
    repo = new_repo(catalog, "ada/one")
    catalog.repos.update(repo.id, private=True)
    (own,) = catalog.waivers.add(ONE, [RULE], repo, "known", None, None)
    catalog.waivers.add(TWO, [RULE], None, "known", None, None)
    catalog.waivers.revoke(own.id, "not so", None)
    waiting = [one for one in catalog.logbook.waiting(10) if one.event.kind is not LogKind.REF]
    assert [one.event.kind.value for one in waiting] == [
        "waiver.add",
        "waiver.add",
        "waiver.revoke",
    ]
    assert [one.private for one in waiting] == [True, False, True]
    assert [one.event.repo for one in waiting] == [repo.id, None, repo.id]
    assert waiting[1].event.details["digest"] == str(TWO)
    assert waiting[2].event.details["reason"] == "not so"


def test_a_waiver_of_a_repo_that_is_gone_can_be_revoked(catalog: Catalog) -> None:
    repo = new_repo(catalog, "ada/one")
    (made,) = catalog.waivers.add(ONE, [RULE], repo, "known", None, None)
    catalog.repos.delete(repo.id)
    revoked = catalog.waivers.revoke(made.id, "gone", None)
    assert (revoked.repo, revoked.repo_uid) == (None, repo.uid)


def appeal(catalog: Catalog, name: str, digest: Digest = ONE) -> int:
    repo = catalog.repos.get(new_repo(catalog, name).id) if isinstance(name, str) else name
    ada = Actor(catalog.accounts.get("ada"))
    return catalog.appeals.add(repo, "a.pkl", Blob(digest, 3), "it is fine", ada).id


def test_an_appeal_is_answered_once(catalog: Catalog) -> None:
    number = appeal(catalog, "ada/one")
    assert [one.id for one in catalog.appeals.open(5)] == [number]
    done = catalog.appeals.uphold(number, "it is not", None)
    assert (done.answer, done.reason, done.answered_by) == ("upheld", "it is not", "system")
    assert catalog.appeals.open(5) == [] and catalog.appeals.count_open() == 0
    assert catalog.appeals.answered(5) == [done]
    with pytest.raises(ConflictError, match="before"):
        catalog.appeals.waive(number, [RULE], catalog.repos.get(done.repo), "x", None, None)
    assert live(catalog, done.repo_uid) == []


def test_an_accepted_appeal_makes_its_waivers_or_none(catalog: Catalog) -> None:
    number = appeal(catalog, "ada/one")
    repo = catalog.repos.get(catalog.appeals.get(number).repo)
    catalog.waivers.add(ONE, ["disguises"], repo, "before", None, None)
    with pytest.raises(ConflictError):
        catalog.appeals.waive(number, [RULE, "disguises"], repo, "fine", None, None)
    assert catalog.appeals.get(number).answer is None and len(live(catalog, repo.uid)) == 1
    done = catalog.appeals.waive(number, [RULE], repo, "fine", None, None)
    assert done.answer == "waived" and len(live(catalog, repo.uid)) == 2


def test_there_is_an_end_to_appeals(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = new_repo(catalog, "ada/one")
    ada = Actor(catalog.accounts.get("ada"))

    def make(digest: Digest) -> int:
        return catalog.appeals.add(repo, "a.pkl", Blob(digest, 3), "it is fine", ada).id

    for _ in range(appeals.MOST_OF_A_FILE):
        number = make(ONE)
        with pytest.raises(ConflictError, match="waits"):
            make(ONE)
        catalog.appeals.uphold(number, "no", None)
    with pytest.raises(ConflictError, match="that is all"):
        make(ONE)
    monkeypatch.setattr(appeals, "MOST_OPEN", 1)
    make(TWO)
    with pytest.raises(ConflictError, match="of this repo"):
        make(Digest.sha256("0" * 64))
    catalog.repos.delete(repo.id)
    assert catalog.appeals.open(5) == []


def test_owners_can_only_be_stricter_than_what_holds() -> None:
    hold, warn, allow = ScanPolicy.HOLD, ScanPolicy.WARN, ScanPolicy.ALLOW
    assert RepoPolicy().over(hold) is hold
    assert RepoPolicy(floor=allow).over(hold) is allow
    assert RepoPolicy(wanted=allow).over(warn) is warn
    assert RepoPolicy(floor=allow, wanted=warn).over(hold) is warn


def test_the_policy_of_a_repo_is_kept_and_goes_with_it(catalog: Catalog) -> None:
    repo = new_repo(catalog, "ada/one")
    policies = catalog.scan_policies
    assert policies.of(repo.uid) == RepoPolicy() and not policies.any_scans()
    own = RepoPolicy(None, ScanPolicy.HOLD)
    policies.put(repo, own, None)
    policies.put(repo, own, None)  # says nothing new
    assert policies.of(repo.uid) == own and policies.any_scans()
    row = catalog.audit.recent(1)[0]
    assert row.detail == "default, at least default -> default, at least hold"
    policies.put(repo, RepoPolicy(ScanPolicy.ALLOW), None)
    assert not policies.any_scans()
    assert [one.action for one in catalog.audit.recent(3)].count("repo.scan_policy") == 2
    catalog.repos.delete(repo.id)
    assert policies.of(repo.uid) == RepoPolicy()


def test_the_policy_of_the_hub_holds_where_no_repo_has_its_own(catalog: Catalog) -> None:
    hold, warn, allow = ScanPolicy.HOLD, ScanPolicy.WARN, ScanPolicy.ALLOW
    own, other = new_repo(catalog, "ada/one"), new_repo(catalog, "ada/two")
    policies = catalog.scan_policies
    assert policies.of_hub() is None and policies.over(other.uid, hold) is hold
    policies.put(own, RepoPolicy(wanted=warn), None)
    policies.put_hub(allow, None)
    policies.put_hub(allow, None)  # says nothing new
    assert policies.of_hub() is allow
    assert (policies.over(own.uid, hold), policies.over(other.uid, hold)) == (warn, allow)
    assert not any(one.wanted for one in [policies.of(other.uid)])
    policies.put_hub(None, None)
    assert policies.of_hub() is None and policies.over(other.uid, hold) is hold
    rows = [(row.action, row.repo, row.detail) for row in catalog.audit.recent(3)]
    assert rows[:2] == [
        ("hub.scan_policy", None, "allow -> default"),
        ("hub.scan_policy", None, "default -> allow"),
    ]
    waiting = [one.event for one in catalog.logbook.waiting(10)]
    told = [event for event in waiting if event.kind is LogKind.SCAN_POLICY]
    assert [event.repo for event in told] == [own.id, None, None]
    assert told[1].details == {"before": "default", "policy": "allow"}
