"""New rules judge kept evidence: in turns, in bounded steps, without a file, whatever is killed."""

import hashlib
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command

from cairn.catalog import migration
from cairn.domain import Blob, Digest, Verdict
from cairn.errors import BlobNotFoundError
from cairn.scanner import extraction_version, gather, judge, judging_version
from cairn.workflows import rejudging, stored_scans
from cairn.workflows.rejudging import Rescans, rescan_progress
from cairn.workflows.stored_scans import scan_blob, scan_pending
from tests.hub.web.homes import Home, open_home

# Opcodes written by hand: nothing here is ever unpickled.
MALICIOUS = b"cos\nsystem\n(S'true'\ntR."
FILES = {f"{i}.pkl": pickle.dumps({"epoch": i}, protocol=4) for i in range(5)}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with open_home(tmp_path) as opened:
        opened.repo("ada/one", {**FILES, "bad.pkl": MALICIOUS})
        scans = scan_pending(opened.house, lambda blob, name: scan(opened, blob, name))
        assert len(list(scans)) >= len(FILES) + 1
        yield opened


def scan(home: Home, blob, name: str) -> Verdict:
    return scan_blob(home.house, blob, name, gather)


@pytest.fixture
def newer(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other rules, which find fault with nothing."""
    monkeypatch.setattr(rejudging, "judging_version", lambda _: "newer")
    monkeypatch.setattr(rejudging, "judge", lambda evidence: ())
    monkeypatch.setattr(rejudging, "BATCH", 2)


def test_nothing_is_done_under_the_rules_that_judged_already(home: Home) -> None:
    assert not Rescans(home.house).take_turn()
    progress = rescan_progress(home.house)
    assert progress is not None and progress.percent == 100 and not progress.active


@pytest.mark.usefixtures("newer")
def test_a_round_ends_after_the_batch_in_hand_and_the_next_goes_on_there(home: Home) -> None:
    first = Rescans(home.house)
    assert first.take_turn()
    assert [one.name for one in first.judge(0)] == ["bad.pkl"]  # held ones first
    progress = rescan_progress(home.house)
    assert progress is not None
    assert progress.done == 2 and progress.active and progress.eta_s is not None
    # Killed here: others wait until its turn is over, then do only what is left.
    second = Rescans(home.house)
    assert not second.take_turn()
    first.end_turn()
    assert second.take_turn()
    assert list(second.judge(60)) == []
    progress = rescan_progress(home.house)
    assert progress is not None
    assert progress.done == progress.total and progress.eta_s is None


def test_blobs_that_cannot_be_read_do_not_keep_others_waiting(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_scans, "BLOBS_AT_ONCE", 1)
    monkeypatch.setattr(stored_scans, "extraction_version", lambda: "newer")
    lost, seen = set(), []

    def scan_most(blob, name: str) -> Verdict:
        if name == "0.pkl":
            raise BlobNotFoundError("lost")
        return scan(home, blob, name)

    for _ in range(20):
        seen += [one.name for one in scan_pending(home.house, scan_most, lost)]
    assert len(lost) == 1 and {*FILES, "bad.pkl"} - set(seen) == {"0.pkl"}


@pytest.mark.usefixtures("newer")
def test_an_older_worker_does_not_undo_what_a_newer_one_judged(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = Rescans(home.house)
    assert newer.take_turn() and list(newer.judge(60))
    newer.end_turn()
    monkeypatch.setattr(rejudging, "judging_version", lambda _: "older")
    older = Rescans(home.house)
    older._announced = ("older", rejudging.extraction_version())  # it came before the newer one
    assert not older.take_turn()


def test_evidence_that_another_version_wrote_is_read_again_and_not_called_clean(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans = home.house.catalog.blob_scans
    named = scans.stale("newer", 1)[0]
    scans.put(named, rejudging.extraction_version(), "old", Verdict.CLEAN, '[{"kind": "novel"}]')
    monkeypatch.setattr(rejudging, "judging_version", lambda _: "newer")
    rescans = Rescans(home.house)
    assert rescans.take_turn()
    assert [(one.before, one.verdict) for one in rescans.judge(60)] == [
        (Verdict.CLEAN, Verdict.UNREAD)
    ]
    assert [j.verdict for j in scan_pending(home.house, lambda b, n: scan(home, b, n))] == [
        Verdict.MALICIOUS
    ]


def test_a_changed_verdict_is_recorded_and_only_worse_ones_are_recalls(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rejudging, "judge", lambda evidence: ())
    for version, rule in (("lax", lambda evidence: ()), ("strict", judge)):
        monkeypatch.setattr(rejudging, "judging_version", lambda _, version=version: version)
        monkeypatch.setattr(rejudging, "judge", rule)
        rescans = Rescans(home.house)
        assert rescans.take_turn() and len(list(rescans.judge(60))) == 1
        rescans.end_turn()
    changes = home.house.catalog.verdict_changes.untold(9)
    assert [(c.name, c.after, c.rules, c.is_recall) for c in changes] == [
        ("bad.pkl", Verdict.CLEAN, "lax", False),
        ("bad.pkl", Verdict.MALICIOUS, "strict", True),
    ]


NAMES = ("a.txt", "b.txt", "modeling.py")


@pytest.fixture
def same_bytes(home: Home) -> Digest:
    """A blob that came by three names and was scanned under the first; nobody noted the others."""
    home.repo("ada/two", {f"{name[0]}/{name}": b"words\n" for name in NAMES})
    digest = Digest.sha256(hashlib.sha256(b"words\n").hexdigest())
    blob = Blob(digest, 6)
    scan(home, blob, NAMES[0])
    home.house.catalog.blob_scans.seen([(digest, name) for name in NAMES])
    list(scan_pending(home.house, lambda b, n: scan(home, b, n)))  # .gitattributes
    assert names_scanned(home, digest) == {NAMES[0]}
    return digest


def names_scanned(home: Home, digest: Digest) -> set[str]:
    kept = home.house.catalog.blob_scans.of_blob(digest)
    return {one.name for one in kept if one.extraction == extraction_version()}


def test_an_upgrade_has_files_scanned_under_names_from_before_these_were_noted(
    home: Home, same_bytes: Digest
) -> None:
    with home.house.catalog.database.write() as connection:
        command.downgrade(migration.config_for(connection), "0018")
    migration.upgrade(home.house.catalog.database)
    assert names_scanned(home, same_bytes) == set()
    assert home.house.catalog.blob_scans.verdict_of(same_bytes) is Verdict.CLEAN, "until then"
    list(scan_pending(home.house, lambda blob, name: scan(home, blob, name)))
    assert names_scanned(home, same_bytes) == set(NAMES)


def test_a_kill_between_two_names_of_a_blob_loses_none(home: Home, same_bytes: Digest) -> None:
    scans = home.house.catalog.blob_scans
    scans.forget_reading((same_bytes, NAMES[0]))
    killed = scan_pending(home.house, lambda blob, name: scan(home, blob, name))
    assert next(killed).name == NAMES[0]
    killed.close()
    assert names_scanned(home, same_bytes) == {NAMES[0]}
    list(scan_pending(home.house, lambda blob, name: scan(home, blob, name)))
    assert names_scanned(home, same_bytes) == set(NAMES)
    assert not scans.any_wait(
        judging_version(home.house.advisories.current()), extraction_version()
    )
