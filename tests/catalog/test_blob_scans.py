"""Kept scans: what is most urgent comes first, and nobody's newer word is overwritten."""

from cairn.catalog import Catalog, KeptScan
from cairn.domain import RepoId, RepoType, Verdict
from tests.catalog.conftest import Clock
from tests.catalog.histories import blob, commit, new_repo, put

OLD, NEW = "old rules", "new rules"


def hold(catalog: Catalog, name: str, *files: bytes, downloads: int = 0) -> None:
    repo = new_repo(catalog, name)
    commit(catalog, repo, *(put(f"{i}/x.bin", data) for i, data in enumerate(files)))
    catalog.repos.count_download(repo.id, downloads)
    catalog.repos.flush_downloads()


def scanned(
    catalog: Catalog, data: bytes, verdict: Verdict = Verdict.CLEAN, rules: str = OLD
) -> KeptScan:
    named = (blob(data).digest, "x.bin")
    catalog.blob_scans.put(named, "extractors", rules, verdict, "[]")
    return catalog.blob_scans.get([named])[named]


def test_held_files_come_first_then_the_most_downloaded_then_the_oldest_verdict(
    catalog: Catalog, clock: Clock
) -> None:
    hold(catalog, "ada/rare", b"late", b"early", b"bad")
    hold(catalog, "ada/popular", b"popular", downloads=7)
    for data in (b"early", b"late", b"popular"):
        scanned(catalog, data)
        clock.advance(days=1)
    scanned(catalog, b"bad", Verdict.MALICIOUS)
    wanted = [blob(data).digest for data in (b"bad", b"popular", b"early", b"late")]
    assert [digest for digest, _ in catalog.blob_scans.stale(NEW, 10)] == wanted
    assert [digest for digest, _ in catalog.blob_scans.stale(NEW, 2)] == wanted[:2]
    assert catalog.blob_scans.stale(OLD, 10) == []


def test_what_nobody_scanned_is_due_first_then_the_most_downloaded(catalog: Catalog) -> None:
    hold(catalog, "ada/rare", b"never scanned, and larger", b"older extractors")
    hold(catalog, "ada/popular", b"popular, older extractors", downloads=7)
    for data in (b"older extractors", b"popular, older extractors"):
        scanned(catalog, data)
    due = [one.digest for one in catalog.blob_scans.due("newer extractors", 10)]
    wanted = (b"never scanned, and larger", b"popular, older extractors", b"older extractors")
    assert due == [blob(data).digest for data in wanted]


def test_what_came_by_another_name_waits_until_it_is_scanned_by_it(catalog: Catalog) -> None:
    hold(catalog, "ada/m", b"one")
    one = blob(b"one").digest
    assert catalog.blob_scans.names_waiting(one) == ["x.bin"]
    scanned(catalog, b"one")
    assert catalog.blob_scans.names_waiting(one) == []
    assert catalog.blob_scans.due_by_name(10) == []
    commit(catalog, new_repo(catalog, "ada/n"), put("y.pkl", b"one"), put("x.bin", b"one"))
    assert catalog.blob_scans.due("extractors", 10) == [], "somebody read these bytes"
    assert [due.digest for due in catalog.blob_scans.due_by_name(10)] == [one]
    assert catalog.blob_scans.any_wait(OLD, "extractors")
    catalog.blob_scans.seen([(one, "x.bin")])
    assert catalog.blob_scans.names_waiting(one) == ["y.pkl"]
    for repo in ("ada/m", "ada/n"):
        catalog.repos.delete(RepoId.parse(RepoType.MODEL, repo))
    assert catalog.blob_scans.due_by_name(10) == [], "nobody has them any more"
    catalog.blob_scans.forget_unowned()
    assert catalog.blob_scans.names_waiting(one) == []


def test_counts_say_what_waits_for_which_version(catalog: Catalog) -> None:
    hold(catalog, "ada/m", b"one", b"two", b"three")
    scanned(catalog, b"one")
    scanned(catalog, b"two", rules=NEW)
    counts = catalog.blob_scans.counts(NEW, "extractors")
    assert (counts.scans, counts.stale, counts.unread_blobs) == (2, 1, 1)
    assert catalog.blob_scans.any_wait(NEW, "extractors")
    scanned(catalog, b"three", rules=NEW)
    scanned(catalog, b"one", rules=NEW)
    assert not catalog.blob_scans.any_wait(NEW, "extractors")
    assert catalog.blob_scans.any_wait(NEW, "others")


def test_judging_leaves_alone_what_somebody_judged_since(catalog: Catalog) -> None:
    seen = [scanned(catalog, b"one"), scanned(catalog, b"two")]
    catalog.blob_scans.put(seen[0].named, "newer", NEW, Verdict.MALICIOUS, "[]")
    verdicts = dict.fromkeys((one.named for one in seen), Verdict.SUSPICIOUS)
    changed = catalog.blob_scans.judge(verdicts, seen, NEW)
    assert [one.named for one in changed] == [seen[1].named]
    found = catalog.blob_scans.verdicts(verdicts)
    assert [found[one.named] for one in seen] == [Verdict.MALICIOUS, Verdict.SUSPICIOUS]


def test_every_change_of_a_verdict_is_recorded_until_owners_know(catalog: Catalog) -> None:
    one, two = scanned(catalog, b"one"), scanned(catalog, b"two", Verdict.MALICIOUS)
    verdicts = {one.named: Verdict.MALICIOUS, two.named: Verdict.CLEAN}
    catalog.blob_scans.judge(verdicts, [one, two], NEW)
    scanned(catalog, b"two", Verdict.UNREAD, NEW)
    scanned(catalog, b"two", Verdict.UNREAD, "others")  # the same verdict is no change
    told = [(c.digest, c.before, c.after, c.is_recall) for c in catalog.verdict_changes.untold(9)]
    assert told == [
        (one.digest, Verdict.CLEAN, Verdict.MALICIOUS, True),
        (two.digest, Verdict.MALICIOUS, Verdict.CLEAN, False),
        (two.digest, Verdict.CLEAN, Verdict.UNREAD, False),
    ]
    assert [c.digest for c in catalog.verdict_changes.for_worse(9)] == [one.digest]
    assert [c.after for c in catalog.verdict_changes.of(two.digest)] == [
        Verdict.UNREAD,
        Verdict.CLEAN,
    ]
    catalog.verdict_changes.told(c.number for c in catalog.verdict_changes.untold(2))
    assert [c.after for c in catalog.verdict_changes.untold(9)] == [Verdict.UNREAD]


def test_evidence_that_is_of_no_use_makes_a_blob_due_and_keeps_its_verdict(
    catalog: Catalog,
) -> None:
    hold(catalog, "ada/m", b"one")
    kept = scanned(catalog, b"one", Verdict.SUSPICIOUS)
    assert catalog.blob_scans.due("extractors", 9) == []
    catalog.blob_scans.forget_reading(kept.named)
    assert [one.digest for one in catalog.blob_scans.due("extractors", 9)] == [kept.digest]
    assert catalog.blob_scans.verdict_of(kept.digest) is Verdict.SUSPICIOUS
