"""Waivers, appeals and policies: who may decide, what files are given out then, what is told."""

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from cairn.domain import Blob, Digest, RepoId, RepoType, Scope, Verdict
from cairn.errors import BlockedError
from tests.hub.conftest import Hub, Repo
from tests.hub.test_scans import CLEAN, FILES, MALICIOUS, SUSPICIOUS, scan_all

SHA = hashlib.sha256(MALICIOUS).hexdigest()
RULES = ("pickle-imports", "pickle-calls")


@pytest.fixture
def hub(hub: Hub) -> Hub:
    hub.house.catalog.accounts.create_user("root", is_admin=True)
    root = hub.house.catalog.tokens.create("root", "all", Scope.WRITE)
    settings = hub.settings.model_copy(update={"scan_policy": "hold"})
    return replace(hub, settings=settings, tokens={**hub.tokens, "root": root})


@pytest.fixture
def pushed(hub: Hub, repo: Repo) -> Repo:
    assert repo.commit(*(repo.file(path, data) for path, data in FILES.items())).status_code == 200
    scan_all(hub)
    return repo


@pytest.fixture
def root(hub: Hub) -> TestClient:
    return hub.client("root")


Waive = Callable[..., int]


@pytest.fixture
def waive(root: TestClient) -> Waive:
    def make(rule: str, repo: str | None = "models/ann/m", **more: object) -> int:
        body = {"sha256": SHA, "rule": rule, "repo": repo, "reason": "a test file", **more}
        answer = root.post("/api/cairn/waivers", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    return make


def status(repo: Repo, path: str = "bad.pkl") -> int:
    return repo.client.get(f"{repo.files}/resolve/main/{path}").status_code


def told(repo: Repo, **query: str) -> dict:
    answer = repo.client.get(f"/api/cairn/models/{repo.name}/security/main", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def rules_in(repo: Repo) -> list[str]:
    (file,) = told(repo, verdict="malicious")["files"]
    return list(dict.fromkeys(one["rule"] for one in file["findings"]))


def test_the_report_says_what_is_found_and_where(pushed: Repo) -> None:
    report = told(pushed)
    assert (report["verdict"], report["policy"]) == ("malicious", "hold")
    assert report["counts"]["malicious"] == report["counts"]["suspicious"] == 1
    bad, odd = report["files"][:2]
    assert (bad["path"], bad["verdict"], bad["state"]) == ("bad.pkl", "malicious", "scanned")
    assert (odd["path"], odd["sha256"]) == ("odd.pkl", hashlib.sha256(SUSPICIOUS).hexdigest())
    finding = bad["findings"][0]
    assert finding["place"]["offset"] == 0 and "system" in finding["message"]
    assert finding["rule_page"].endswith(f"/security/rules#{finding['rule']}")
    assert finding["waiver"] is None


def test_what_nobody_scanned_never_looks_clean(hub: Hub, repo: Repo) -> None:
    repo.put("good.pkl", CLEAN)
    report = told(repo)
    assert report["verdict"] is None and report["counts"]["clean"] == 0
    assert {one["state"] for one in report["files"]} == {"queued"}
    scan_all(hub)
    assert told(repo)["verdict"] == "clean"


def test_a_file_is_given_out_when_all_that_counts_is_waived(
    hub: Hub, pushed: Repo, waive: Waive
) -> None:
    rules = rules_in(pushed)
    for rule in rules:
        assert status(pushed) == 403
        waive(rule)
    others = pushed.through(hub.client("eve"))
    assert status(others) == 200
    (file,) = [one for one in told(others)["files"] if one["path"] == "bad.pkl"]
    assert (file["verdict"], file["scan_verdict"]) == ("clean", "malicious")
    assert {one["waiver"]["waived_by"] for one in file["findings"]} == {"root"}
    assert {one["waiver"]["reason"] for one in file["findings"]} == {"a test file"}
    tree = pushed.client.get(f"{pushed.api}/tree/main?expand=true").json()
    by_path = {one["path"]: one["securityFileStatus"]["status"] for one in tree}
    assert by_path["bad.pkl"] == "safe" and by_path["odd.pkl"] == "suspicious"
    log = others.client.get("/api/cairn/models/ann/m/sarif/main")
    assert log.headers["content-disposition"].startswith("attachment")
    (bad,) = [
        one
        for one in log.json()["runs"][0]["results"]
        if one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "bad.pkl"
        and one["ruleId"] == rules[0]
    ][:1]
    assert bad["suppressions"][0]["justification"] == "root: a test file"


def test_a_waiver_holds_in_its_repo_and_by_digest_too(
    hub: Hub, pushed: Repo, root: TestClient, waive: Waive
) -> None:
    other = Repo(hub.client("eve"), "eve/copy").create()
    other.put("bad.pkl", MALICIOUS)
    numbers = [waive(rule) for rule in rules_in(pushed)]
    assert (status(pushed), status(other)) == (200, 403)
    releasing = root.app.state.releasing
    uids = [hub.house.catalog.repos.get(repo_id(one)).uid for one in (pushed, other)]
    blob = Blob(Digest.sha256(SHA), len(MALICIOUS))
    releasing.release_blob(uids[0], blob)
    with pytest.raises(BlockedError):
        releasing.release_blob(uids[1], blob)
    for number in numbers:
        done = root.post(f"/api/cairn/waivers/{number}/revoke", json={"reason": "not so"})
        assert done.json()["revoke_reason"] == "not so"
    assert status(pushed) == 403
    for rule in rules_in(pushed):
        waive(rule, None)
    assert (status(pushed), status(other)) == (200, 200)
    listed = root.get("/api/cairn/waivers").json()["waivers"]
    assert len(listed) == 2 * len(numbers) and listed[0]["repo"] is None


def repo_id(repo: Repo) -> RepoId:
    return RepoId.parse(RepoType.MODEL, repo.name)


@pytest.mark.parametrize("who", [None, "ann", "eve", "ann-reader"])
def test_only_administrators_decide(hub: Hub, pushed: Repo, waive: Waive, who: str | None) -> None:
    client = hub.client(who)
    number = waive("disguises")
    refused = 401 if who is None else 403
    body = {"sha256": SHA, "rule": "pickle-calls", "reason": "mine"}
    assert client.post("/api/cairn/waivers", json=body).status_code == refused
    path = f"/api/cairn/waivers/{number}/revoke"
    assert client.post(path, json={"reason": "mine"}).status_code == refused
    assert client.get("/api/cairn/waivers").status_code == refused
    assert client.get("/api/cairn/appeals").status_code == refused
    body = {"policy": "allow", "by": "administrator"}
    put = client.put("/api/cairn/models/ann/m/scan-policy", json=body)
    assert put.status_code == refused
    answer = {"answer": "waive", "reason": "mine"}
    assert client.post("/api/cairn/appeals/1/answer", json=answer).status_code == refused


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"rule": "no-such-rule"}, 404),
        ({"sha256": "0" * 64}, 404),
        ({"sha256": "zz"}, 400),
        ({"repo": "ann/m"}, 400),
        ({"repo": "models/ann/nothing"}, 404),
        ({"reason": " "}, 400),
        ({"reason": "a\x1b[31m"}, 400),
        ({"expires_at": "2020-01-01T00:00:00Z"}, 400),
        ({"expires_at": "2099-01-01T00:00:00"}, 400),
    ],
)
def test_a_waiver_that_makes_no_sense_is_refused(
    hub: Hub, pushed: Repo, root: TestClient, change: dict, code: int
) -> None:
    body = {"sha256": SHA, "rule": RULES[0], "repo": "models/ann/m", "reason": "x", **change}
    assert root.post("/api/cairn/waivers", json=body).status_code == code
    assert hub.house.catalog.waivers.newest(5) == []


def appeal(repo: Repo, path: str = "bad.pkl", text: str = "It is a test file.") -> tuple[int, dict]:
    body = {"path": path, "text": text}
    answer = repo.client.post(f"/api/cairn/models/{repo.name}/appeals", json=body)
    return answer.status_code, answer.json()


def test_an_appeal_is_heard_and_answered(hub: Hub, pushed: Repo, root: TestClient) -> None:
    code, made = appeal(pushed)
    assert code == 201 and made["answer"] is None
    assert appeal(pushed)[0] == 409  # it waits
    assert root.get("/api/cairn/notifications").json()["notifications"][0]["kind"] == "appeal"
    (waiting,) = root.get("/api/cairn/appeals").json()["appeals"]
    assert (waiting["id"], waiting["made_by"], waiting["path"]) == (made["id"], "ann", "bad.pkl")
    path = f"/api/cairn/appeals/{made['id']}/answer"
    done = root.post(path, json={"answer": "uphold", "reason": "It starts a shell."})
    assert done.json()["answer"] == "upheld" and status(pushed) == 403
    assert root.post(path, json={"answer": "waive", "reason": "x"}).status_code == 409
    told = pushed.client.get("/api/cairn/notifications").json()["notifications"]
    (news,) = [one for one in told if one["kind"] == "appeal"]
    assert "upheld: It starts a shell." in news["text"]
    assert news["link"] == "/ann/m/security/main/bad.pkl"
    (kept,) = pushed.client.get("/api/cairn/models/ann/m/appeals").json()["appeals"]
    assert kept["answered_by"] == "root"
    _, again = appeal(pushed)
    accepted = {"answer": "waive", "reason": "Known.", "expires_at": "2099-01-01T00:00:00Z"}
    root.post(f"/api/cairn/appeals/{again['id']}/answer", json=accepted)
    assert status(pushed.through(hub.client())) == 200
    assert [one.action for one in hub.house.catalog.audit.recent(9)].count("appeal.answer") == 2
    assert {one.expires_at.year for one in hub.house.catalog.waivers.newest(9)} == {2099}


def test_appeals_are_for_owners_and_about_what_was_found(hub: Hub, pushed: Repo) -> None:
    assert appeal(pushed.through(hub.client("eve")))[0] == 403
    assert appeal(pushed.through(hub.client()))[0] == 401
    assert appeal(pushed, "good.pkl")[0] == 409
    assert appeal(pushed, "nothing.pkl")[0] == 404
    assert appeal(pushed, text="\x00")[0] == 400
    own = "/api/cairn/models/ann/m/appeals"
    assert hub.client("eve").get(own).status_code == 403


def test_owners_may_be_stricter_and_administrators_anything(
    hub: Hub, pushed: Repo, root: TestClient
) -> None:
    path = "/api/cairn/models/ann/m/scan-policy"

    def put(client: TestClient, policy: str | None, by: str = "owner") -> int:
        return client.put(path, json={"policy": policy, "by": by}).status_code

    assert put(pushed.client, "warn") == 403 and status(pushed) == 403
    assert put(root, "warn", "administrator") == 200
    assert status(pushed) == 200
    assert put(pushed.client, "allow") == 403
    assert put(pushed.client, "hold") == 200 and status(pushed) == 403
    assert pushed.client.get(path).json() == {
        "policy": "hold",
        "hub": "hold",
        "administrator": "warn",
        "owner": "hold",
    }
    assert put(pushed.client, None) == 200 and status(pushed) == 200
    assert put(root, None, "administrator") == 200 and status(pushed) == 403
    assert put(hub.client("eve"), "hold") == 403
    assert put(hub.client(), "hold") == 401


def test_administrators_change_the_policy_of_a_hub_that_runs(
    hub: Hub, pushed: Repo, root: TestClient
) -> None:
    path = "/api/cairn/scan-policy"
    assert status(pushed) == 403
    for who, refused in (("ann", 403), (None, 401)):
        answer = hub.client(who).put(path, json={"policy": "warn"})
        assert answer.status_code == refused
    assert root.put(path, json={"policy": "warn"}).json() == {
        "policy": "warn",
        "setting": "hold",
        "administrator": "warn",
    }
    assert status(pushed) == 200 and told(pushed)["policy"] == "warn"
    assert root.get("/api/cairn/rescans").json()["scan_policy"] == "warn"
    own = "/api/cairn/models/ann/m/scan-policy"
    assert pushed.client.put(own, json={"policy": "hold"}).status_code == 200
    assert status(pushed) == 403
    assert pushed.client.put(own, json={"policy": None}).status_code == 200
    assert root.put(path, json={"policy": None}).json()["policy"] == "hold"
    assert status(pushed) == 403


def test_a_repo_may_be_held_on_a_hub_that_holds_nothing(hub: Hub, repo: Repo) -> None:
    repo.put("bad.pkl", MALICIOUS)
    loose = hub.client("ann", scan_policy="allow")
    path = "/api/cairn/models/ann/m/scan-policy"
    assert loose.put(path, json={"policy": "hold"}).json()["policy"] == "hold"
    stranger = repo.through(hub.client(scan_policy="allow"))
    assert status(stranger) == 403
    report = told(repo.through(loose))
    assert report["files"][0]["verdict"] == Verdict.MALICIOUS.value
