"""`cairn rescan`: tells how far a hub is, and does what is left."""

import json
import pickle
from pathlib import Path

import pytest

from cairn.domain import Verdict
from cairn.scanner import gather
from cairn.workflows.stored_scans import scan_blob, scan_pending
from tests.cli.command import cairn
from tests.hub.web.homes import open_home

MALICIOUS = b"cos\nsystem\n(S'true'\ntR."  # written by hand, never unpickled


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A hub whose scans were judged by rules of long ago."""
    with open_home(tmp_path) as home:
        home.repo("ada/m", {"good.pkl": pickle.dumps(1), "bad.pkl": MALICIOUS})
        for judged in scan_pending(home.house, lambda b, n: scan_blob(home.house, b, n, gather)):
            assert judged.before is None
        scans = home.house.catalog.blob_scans
        kept = list(scans.get(scans.stale("newer", 9)).values())
        scans.judge(dict.fromkeys((one.named for one in kept), Verdict.CLEAN), kept, "long ago")
        home.house.catalog.rule_sets.announce("long ago", "extractors")
    return tmp_path


def test_it_shows_what_is_done_and_does_what_is_left(data: Path) -> None:
    before = json.loads(cairn("rescan", "--json", data=data).stdout)
    assert before["rules"] == "long ago" and before["percent"] == 100
    after = json.loads(cairn("rescan", "--now", "--json", data=data).stdout)
    assert after["rules"] != "long ago"
    assert after["done"] == after["total"] == before["total"] > 1
    assert not after["active"]
    with open_home_again(data) as catalog:
        (change,) = (c for c in catalog.verdict_changes.for_worse(9))
        assert (change.name, change.after) == ("bad.pkl", Verdict.MALICIOUS)
    assert "100 %" in cairn("rescan", data=data).stdout


def test_a_hub_that_never_scanned_says_so(tmp_path: Path) -> None:
    with open_home(tmp_path):
        pass
    assert "has not scanned" in cairn("rescan", data=tmp_path).stdout
    assert json.loads(cairn("rescan", "--json", data=tmp_path).stdout) is None


def test_doing_and_looking_on_are_two_things(data: Path) -> None:
    assert "give one" in cairn("rescan", "--now", "--watch", data=data, expect=2).stderr


def open_home_again(data: Path):
    from contextlib import closing

    from cairn.catalog import open_catalog

    return closing(open_catalog(f"sqlite:///{data / 'cairn.db'}"))
