"""`cairn waiver`, `appeal`, `policy` on a data folder, and `cairn scan --hub` against a hub."""

import json
from pathlib import Path

import pytest

from cairn.bootstrap import open_house
from cairn.config import Settings
from cairn.domain import Digest, RepoId, RepoType, Scope
from cairn.hub.remote import RemoteHub
from cairn.hub.remote_scan import remote_report
from tests.cli.command import cairn
from tests.hub.conftest import Hub, LiveHub, Repo, live  # noqa: F401
from tests.hub.test_scans import FILES, scan_all

BAD = RepoId(RepoType.MODEL, "ann", "m")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A hub with a file that was scanned, and an appeal about it."""
    from cairn.hub.scan_desk import ScanDesk
    from cairn.workflows.appealing import appeal
    from cairn.workflows.browse import open_view
    from cairn.workflows.commit import Message, commit, put_regular
    from cairn.workflows.repos import create_repo
    from cairn.workflows.stored_scans import scan_pending

    folder = tmp_path / "data"
    house = open_house(Settings(data_dir=folder))
    house.catalog.accounts.create_user("ann")
    ann = house.catalog.tokens.actor(house.catalog.tokens.create("ann", "t", Scope.WRITE))
    create_repo(house, ann, BAD, private=False)
    change = put_regular(house, "bad.pkl", FILES["bad.pkl"])
    commit(house, ann, BAD, "main", [change], Message("push"))
    desk = ScanDesk(house)
    assert list(scan_pending(house, desk.scan))
    desk.close()
    appeal(house, ann, open_view(house, ann, BAD), "bad.pkl", "It is a drill.")
    house.catalog.close()
    return folder


def digest_of(data: Path) -> str:
    (one,) = json.loads(cairn("appeal", "list", "--json", "--data", str(data)).stdout)
    return one["sha256"]


def test_waivers_are_made_listed_and_revoked(data: Path) -> None:
    folder = ("--data", str(data))
    sha = digest_of(data)
    made = ("--repo", "ann/m", "--reason", "ours", "--days", "9", *folder)
    assert f"waiver 1: pickle-imports in {sha}" in cairn(
        "waiver", "add", sha, "pickle-imports", *made
    ).stdout.replace("\n", " ")
    (one,) = json.loads(cairn("waiver", "list", "--json", *folder).stdout)
    assert (one["rule"], one["waived_by"], one["reason"]) == ("pickle-imports", "operator", "ours")
    cairn("waiver", "add", sha, "pickle-imports", *made, expect=4)
    cairn("waiver", "add", sha, "no-rule", "--reason", "x", *folder, expect=3)
    assert "holds no more" in cairn("waiver", "revoke", "1", "--reason", "no", *folder).stdout
    assert "over" in cairn("waiver", "list", *folder).stdout
    log = json.loads(cairn("log", "show", "--json", *folder).stdout)
    assert {"waiver.add", "waiver.revoke"} <= {entry["kind"] for entry in log}


def test_appeals_are_listed_and_answered(data: Path) -> None:
    folder = ("--data", str(data))
    assert "It is a drill." in cairn("appeal", "list", *folder).stdout
    cairn("appeal", "waive", "1", "--reason", "known", *folder)
    assert "no appeal waits" in cairn("appeal", "list", *folder).stdout
    (one,) = json.loads(cairn("appeal", "list", "--answered", "--json", *folder).stdout)
    assert (one["answer"], one["reason"]) == ("waived", "known")
    cairn("appeal", "uphold", "1", "--reason", "x", *folder, expect=4)


def test_policies_are_shown_and_decided(data: Path) -> None:
    folder = ("--data", str(data))
    assert "hold holds: the hub says hold" in cairn("policy", "show", "ann/m", *folder).stdout
    cairn("policy", "set", "ann/m", "warn", *folder)
    told = json.loads(cairn("policy", "show", "ann/m", "--json", *folder).stdout)
    assert told == {"policy": "warn", "hub": "hold", "administrator": "warn", "owner": None}
    cairn("policy", "set", "ann/m", "default", *folder)
    assert "hold holds" in cairn("policy", "show", "ann/m", *folder).stdout
    assert "warn holds: the setting says hold" in cairn("policy", "hub", "warn", *folder).stdout
    told = json.loads(cairn("policy", "show", "ann/m", "--json", *folder).stdout)
    assert (told["policy"], told["hub"], told["administrator"]) == ("warn", "warn", None)
    log = json.loads(cairn("log", "show", "--json", *folder).stdout)
    assert next(one["repo"] for one in log if one["kind"] == "scan_policy") is None
    told = json.loads(cairn("policy", "hub", "default", "--json", *folder).stdout)
    assert told == {"policy": "hold", "setting": "hold", "administrator": None}


def test_a_hub_is_asked_for_its_verdicts(live: LiveHub) -> None:  # noqa: F811
    hub: Hub = live.hub
    repo = Repo(hub.client("ann"), "ann/asked").create()
    repo.commit(*(repo.file(path, content) for path, content in FILES.items()))
    here = ("ann/asked@main", "--hub", live.url)
    assert "the hub has not scanned it: queued" in cairn("scan", *here, expect=1).stdout
    scan_all(hub)
    told = json.loads(cairn("scan", *here, "--json", expect=1).stdout)
    verdicts = {one["path"]: one["verdict"] for one in told["files"]}
    assert told["hub"] == live.url and verdicts["bad.pkl"] == "malicious"
    assert verdicts["good.pkl"] == "clean"
    assert json.loads(cairn("scan", *here, "--sarif", expect=1).stdout)["version"] == "2.1.0"
    uid = hub.house.catalog.repos.get(RepoId(RepoType.MODEL, "ann", "asked")).uid
    report = remote_report(
        RemoteHub(live.url, None), RepoId(RepoType.MODEL, "ann", "asked"), "main"
    )
    (bad,) = [one for one in report.files if one.path == "bad.pkl"]
    rules = list(dict.fromkeys(one.rule for one in bad.findings))
    record = hub.house.catalog.repos.get_by_uid(uid)
    assert isinstance(bad.digest, Digest)
    hub.house.catalog.waivers.add(bad.digest, rules, record, "a drill", None, None)
    told = json.loads(cairn("scan", *here, "--json", "--fail-on", "malicious").stdout)
    assert told["counts"]["malicious"] == 0
    cairn("scan", "ann/nothing", "--hub", live.url, expect=5)
