"""Pushes are scanned before others get them; what is malicious stays; clients are told."""

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from cairn.domain import Verdict
from cairn.hub.errors import DISABLED_MESSAGE
from cairn.hub.scan_desk import ScanDesk
from cairn.hub.worker import Worker
from cairn.workflows import rejudging
from cairn.workflows.rejudging import Rescans
from cairn.workflows.stored_scans import scan_pending
from tests.hub.conftest import Hub, LiveHub, Repo
from tests.hub.test_stock_client import script

# Opcodes written by hand: nothing here is ever unpickled.
MALICIOUS = b"cos\nsystem\n(S'true'\ntR."
SUSPICIOUS = b"\x80\x02cnobody_knows\nthis\n."
CLEAN = pickle.dumps({"epoch": 3}, protocol=4)
FILES = {"bad.pkl": MALICIOUS, "odd.pkl": SUSPICIOUS, "good.pkl": CLEAN}


@pytest.fixture
def hub(hub: Hub) -> Hub:
    return replace(hub, settings=hub.settings.model_copy(update={"scan_policy": "hold"}))


@pytest.fixture
def pushed(repo: Repo) -> Repo:
    assert repo.commit(*(repo.file(path, data) for path, data in FILES.items())).status_code == 200
    return repo


def scan_all(hub: Hub) -> dict[str, Verdict]:
    desk = ScanDesk(hub.house)
    found = {one.name: one.verdict for one in scan_pending(hub.house, desk.scan)}
    desk.close()
    return found


def test_owners_are_told_once_that_what_they_pushed_is_malicious(hub: Hub, pushed: Repo) -> None:
    def told() -> list[str]:
        kept = hub.house.catalog.notifications.of("ann", 10)
        return [one.text for one in kept if "malicious" in one.text]

    assert told() == []
    scan_all(hub)
    (text,) = told()
    assert "bad.pkl" in text
    bad = pushed.client.get(f"{pushed.files}/resolve/main/bad.pkl")
    assert bad.status_code == 403
    assert told() == [text]


@pytest.mark.parametrize("way", ["resolve", "raw"])
def test_others_get_a_fresh_file_only_after_its_scan(hub: Hub, pushed: Repo, way: str) -> None:
    others = pushed.through(hub.client())
    bad = others.client.get(f"{others.files}/{way}/main/bad.pkl")
    assert bad.status_code == 403
    assert bad.headers["x-error-message"] == DISABLED_MESSAGE
    assert bad.headers["x-error-code"] == "DisabledRepo"
    good = others.client.get(f"{others.files}/{way}/main/good.pkl")
    assert good.content == CLEAN and "x-hf-warning" not in good.headers
    odd = others.client.get(f"{others.files}/{way}/main/odd.pkl")
    assert odd.content == SUSPICIOUS and "suspicious" in odd.headers["x-hf-warning"]


def test_writers_need_not_wait_but_do_not_get_what_is_malicious_either(
    hub: Hub, pushed: Repo
) -> None:
    path = f"{pushed.files}/resolve/main/bad.pkl"
    assert pushed.client.get(path).status_code == 200
    assert scan_all(hub)["bad.pkl"] is Verdict.MALICIOUS
    assert pushed.client.get(path).status_code == 403
    assert pushed.client.head(path).status_code == 200  # it says what there is, and no bytes


def test_a_scan_goes_by_content_and_name_so_another_repo_is_warned_as_well(
    hub: Hub, pushed: Repo
) -> None:
    scan_all(hub)
    other = Repo(hub.client("eve"), "eve/copy").create()
    other.put("folder/bad.pkl", MALICIOUS)
    assert other.client.get(f"{other.files}/resolve/main/folder/bad.pkl").status_code == 403


def test_large_files_are_kept_back_from_git_lfs_too(hub: Hub, repo: Repo) -> None:
    oid = repo.put_large(MALICIOUS)
    assert repo.commit(repo.large("bad.bin", oid)).status_code == 200
    shape = repo.batch({"oid": oid, "size": len(MALICIOUS)}, operation="download").json()
    link = shape["objects"][0]["actions"]["download"]["href"]
    answer = repo.client.get(link)
    assert answer.status_code == 403 and answer.json()["message"] == DISABLED_MESSAGE


@pytest.mark.parametrize(("policy", "warned"), [("warn", True), ("allow", False)])
def test_other_policies_give_everything_out(
    hub: Hub, pushed: Repo, policy: str, warned: bool
) -> None:
    scan_all(hub)
    answer = hub.client(scan_policy=policy).get(f"{pushed.files}/resolve/main/bad.pkl")
    assert answer.content == MALICIOUS
    assert ("malicious" in answer.headers.get("x-hf-warning", "")) is warned


def test_listings_say_what_scans_found_in_the_words_of_the_ecosystem(
    hub: Hub, pushed: Repo
) -> None:
    def told() -> tuple[dict, dict]:
        tree = pushed.client.get(f"{pushed.api}/tree/main?expand=true").json()
        info = pushed.client.get(f"{pushed.api}?securityStatus=true").json()
        files = {one["path"]: one["securityFileStatus"]["status"] for one in tree}
        return files, info["securityRepoStatus"]

    files, repo = told()
    assert set(files.values()) == {"unscanned"}
    assert repo == {"scansDone": False, "filesWithIssues": []}
    scan_all(hub)
    files, repo = told()
    assert files["bad.pkl"] == "unsafe" and files["good.pkl"] == "safe"
    assert files["odd.pkl"] == "suspicious"
    assert repo["scansDone"] is True
    assert {"path": "bad.pkl", "level": "unsafe"} in repo["filesWithIssues"]
    assert "good.pkl" not in [one["path"] for one in repo["filesWithIssues"]]


def test_what_was_scanned_is_not_scanned_again(hub: Hub, pushed: Repo) -> None:
    assert set(scan_all(hub)) >= set(FILES)
    assert scan_all(hub) == {}


def test_a_file_that_comes_by_another_name_is_scanned_by_it_in_the_background(
    hub: Hub, repo: Repo
) -> None:
    source = b"import os\nos.system('true')\n"  # harmless as a text, not as a module
    repo.put("notes.txt", source)
    assert scan_all(hub)["notes.txt"] is Verdict.CLEAN
    repo.put("folder/modeling.py", source)
    repo.put("folder/notes.txt", source)
    assert Rescans(hub.house).take_turn(), "the background has something to do"
    assert scan_all(hub) == {"modeling.py": Verdict.MALICIOUS}
    assert scan_all(hub) == {} and not Rescans(hub.house).take_turn()
    told = hub.house.catalog.notifications.of("ann", 10)
    assert "folder/modeling.py malicious" in told[0].text


def test_new_rules_judge_what_is_kept_without_reading_a_file(
    hub: Hub, pushed: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan_all(hub)
    rescans = Rescans(hub.house)
    assert not rescans.take_turn()
    monkeypatch.setattr(rejudging, "judging_version", lambda _: "newer")
    monkeypatch.setattr(rejudging, "judge", lambda evidence: ())
    monkeypatch.setattr(hub.house.store, "open", None)
    assert rescans.take_turn()
    changed = {one.name: (one.before, one.verdict) for one in rescans.judge(60)}
    assert changed["bad.pkl"] == (Verdict.MALICIOUS, Verdict.CLEAN)
    assert "good.pkl" not in changed
    assert not rescans.take_turn()
    assert pushed.client.get(f"{pushed.files}/resolve/main/bad.pkl").status_code == 200


def test_the_worker_scans_what_landed(hub: Hub, pushed: Repo, tmp_path: Path) -> None:
    worker = Worker(hub.house, hub.settings)
    worker.scanning.scan()
    worker._scans.close()
    assert scan_all(hub) == {}


def test_how_far_judging_is_can_be_asked_for(
    hub: Hub, pushed: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told() -> dict:
        return hub.client().get("/api/cairn/rescans").json()

    def page() -> str:
        answer = pushed.client.get("/ann/m/storage/main", headers={"accept": "text/html"})
        assert answer.status_code == 200
        return answer.text

    assert told() == {"scan_policy": "hold", "progress": None}
    worker = Worker(hub.house, hub.settings)
    worker.scanning.scan()
    worker._scans.close()
    progress = told()["progress"]
    assert progress["total"] == progress["done"] == len(FILES) + 1  # and .gitattributes
    assert (progress["percent"], progress["unread_blobs"]) == (100, 0)
    assert "<progress" not in page()
    monkeypatch.setattr(rejudging, "judging_version", lambda _: "newer")
    assert worker.scanning.rescans.take_turn()
    progress = told()["progress"]
    assert (progress["rules"], progress["done"], progress["percent"]) == ("newer", 0, 0)
    assert progress["active"]
    assert f'<progress max="{progress["total"]}" value="0"' in page()
    assert list(worker.scanning.rescans.judge(60)) == []
    assert told()["progress"]["percent"] == 100


def test_the_stock_client_says_that_access_is_disabled_and_reads_the_status(live: LiveHub) -> None:
    live.run(
        script(f"""
        api.create_repo("ann/scanned")
        api.create_commit("ann/scanned", [
            CommitOperationAdd("bad.pkl", {MALICIOUS!r}), CommitOperationAdd("good.pkl", {CLEAN!r}),
        ], commit_message="push")
        error = raises(DisabledRepoError, hf_hub_download, "ann/scanned", "bad.pkl", token=False)
        path = hf_hub_download("ann/scanned", "good.pkl", token=False)
        assert open(path, "rb").read() == {CLEAN!r}
        by_path = {{f.path: f for f in api.list_repo_tree("ann/scanned", expand=True)}}
        assert by_path["good.pkl"].security.safe and not by_path["bad.pkl"].security.safe
        status = api.model_info("ann/scanned", securityStatus=True).security_repo_status
        assert {{"path": "bad.pkl", "level": "unsafe"}} in status["filesWithIssues"]
    """)
    )
