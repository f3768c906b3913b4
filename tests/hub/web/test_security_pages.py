"""The pages about scans: what they show to whom, and what their forms decide."""

import pickle
from collections.abc import Iterator

import pytest

from cairn.domain import RepoId, RepoType, Scope
from cairn.hub.scan_desk import ScanDesk
from cairn.workflows.stored_scans import scan_pending
from tests.hub.web.homes import HTML, Home, open_home

# Opcodes written by hand: nothing here is ever unpickled.
MALICIOUS = b"cos\nsystem\n(S'<script>'\ntR."
SUSPICIOUS = b"\x80\x02cnobody_knows\nthis\n."
CLEAN = pickle.dumps({"epoch": 3}, protocol=4)
FILES = {"bad.pkl": MALICIOUS, "odd.pkl": SUSPICIOUS, "good.pkl": CLEAN, "a & b.txt": b"plain\n"}
PAGE = "/ada/m/security/main"
BAD = f"{PAGE}/bad.pkl"


@pytest.fixture
def home(tmp_path) -> Iterator[Home]:
    with open_home(tmp_path, scan_policy="hold") as home:
        home.house.catalog.accounts.create_user("root", is_admin=True)
        home.repo("ada/m", FILES)
        yield home


def scan(home: Home) -> None:
    desk = ScanDesk(home.house)
    list(scan_pending(home.house, desk.scan))
    desk.close()


@pytest.fixture
def scanned(home: Home) -> Home:
    scan(home)
    return home


def root(home: Home) -> str:
    return home.house.catalog.tokens.create("root", f"t{id(object())}", Scope.WRITE)


def post(home: Home, to: str, token: str, status: int = 303, **form: str) -> str:
    headers = {**HTML, "authorization": f"Bearer {token}"}
    answer = home.client.post(to, data=form, headers=headers, follow_redirects=False)
    assert answer.status_code == status, answer.text[:600]
    return answer.headers.get("location", "")


def test_what_waits_is_shown_as_waiting_and_never_as_clean(home: Home) -> None:
    page = home.page(PAGE)
    assert "5 files not scanned yet" in page and ">queued<" in page
    assert ">clean<" not in page and 'http-equiv="refresh"' in page
    tree = home.page("/ada/m/tree/main")
    assert ">queued</a>" in tree and ">clean<" not in tree
    assert "waits for its scan" in home.page("/ada/m/blob/main/a%20%26%20b.txt")
    mine = home.page("/ada/m/blob/main/a%20%26%20b.txt", token=home.token)
    assert "waits for its scan" not in mine and "plain" in mine


def test_a_revision_tells_why_where_and_what_to_do(scanned: Home) -> None:
    page = scanned.page(PAGE)
    assert "1 file malicious" in page and "Do not load them" in page
    assert page.index("bad.pkl") < page.index("odd.pkl") < page.index("good.pkl")
    assert 'href="/security/rules#pickle-imports"' in page
    assert "at byte 0" in page and "<code>cairn convert</code>" in page
    assert "<script>'" not in page and 'http-equiv="refresh"' not in page
    only = scanned.page(f"{PAGE}?verdict=suspicious")
    assert "odd.pkl" in only and "good.pkl" not in only
    assert "No file of this revision stands so" in scanned.page(f"{PAGE}?verdict=unread")
    scanned.page(f"{PAGE}?verdict=fine", status=400)
    scanned.page(f"{PAGE}?page=2", status=404)


def test_many_files_come_page_by_page(home: Home) -> None:
    home.repo("ada/many", {f"{n:03}.txt": b"%d\n" % n for n in range(60)})
    first = home.page("/ada/many/security/main")
    second = home.page("/ada/many/security/main?page=2")
    assert "1 to 50 of 61 files" in first and "51 to 61 of 61 files" in second
    assert "059.txt" in second and "059.txt" not in first


def test_an_empty_repo_has_nothing_to_scan(home: Home) -> None:
    record = home.house.catalog.repos.create(
        RepoId.parse(RepoType.MODEL, "ada/empty"), private=False
    )
    assert record.head is None
    assert "Nothing to scan yet" in home.page("/ada/empty/security/main")


def test_what_cannot_be_scanned_says_so(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(home.house.store), "has", lambda self, digest: False)
    page = home.page(PAGE)
    assert ">scan failed<" in page and "lost or damaged" in page and ">clean<" not in page


def test_badges_lead_to_the_findings(scanned: Home) -> None:
    tree = scanned.page("/ada/m/tree/main")
    assert "resolve/main/odd.pkl" in tree and "resolve/main/bad.pkl" not in tree  # it is held
    assert f'href="{BAD}"' in tree and ">malicious</a>" in tree and ">clean</a>" in tree
    assert "scan: 1 file malicious" in tree and "scan: 1 file malicious" in scanned.page("/ada/m")


def test_the_page_of_a_held_file_says_why_and_shows_nothing_of_it(scanned: Home) -> None:
    page = scanned.page("/ada/m/blob/main/bad.pkl")
    assert "This file is held back" in page and "os.<wbr>system" in page
    assert "download>Download</a>" not in page and "Its owners can replace it" in page
    mine = scanned.page("/ada/m/blob/main/bad.pkl", token=scanned.token)
    assert f'href="{BAD}#appeal"' in mine and "cairn convert" in mine
    odd = scanned.page("/ada/m/blob/main/odd.pkl")
    assert "with a warning that clients print" in odd and "Download</a>" in odd


def test_sarif_is_there_for_whoever_may_read(scanned: Home) -> None:
    answer = scanned.client.get("/ada/m/sarif/main")
    assert answer.json()["version"] == "2.1.0"
    assert answer.headers["content-disposition"].endswith('.sarif"')
    scanned.repo("ada/hidden", {"x.txt": b"x"}, private=True)
    assert scanned.client.get("/ada/hidden/sarif/main", headers=HTML).status_code == 404
    scanned.page("/ada/hidden/security/main", status=404)
    scanned.page("/ada/hidden/security/main/x.txt", status=404)


def test_owners_appeal_and_administrators_answer(scanned: Home) -> None:
    page = scanned.page(BAD, token=scanned.token)
    assert 'action="/ada/m/security-appeal/main"' in page and "security-waive" not in page
    assert "security-appeal" not in scanned.page(BAD, token=scanned.stranger_token)
    form = {"path": "bad.pkl", "text": "It is a <b>test</b>.", "back": BAD}
    assert post(scanned, "/ada/m/security-appeal/main", scanned.token, **form) == BAD
    post(scanned, "/ada/m/security-appeal/main", scanned.stranger_token, status=403, **form)
    waiting = scanned.page(BAD, token=scanned.token)
    assert "it waits for an answer" in waiting and "security-appeal" not in waiting
    admin = root(scanned)
    queue = scanned.page("/security/appeals", token=admin)
    assert "It is a &lt;b&gt;test&lt;/b&gt;." in queue and "os.<wbr>system" in queue
    scanned.page("/security/appeals", token=scanned.token, status=403)
    assert scanned.client.get("/security/appeals", follow_redirects=False).status_code == 303
    answer = {"answer": "waive", "reason": "Known.", "days": "9", "back": "/security/appeals"}
    assert post(scanned, "/security/appeals/1/answer", admin, **answer) == "/security/appeals"
    page = scanned.page(BAD)
    assert "Waived by root" in page and "Known." in page and ">waived<" in page
    assert "Nothing counts of what was found" in page
    assert f'<a href="{BAD}"><b>ada/m' in scanned.page("/security/appeals", token=admin)
    assert "it waits" not in page  # appeals are between owners and administrators
    assert scanned.client.get("/ada/m/resolve/main/bad.pkl").content == MALICIOUS
    assert ">clean</a>" in scanned.page("/ada/m/tree/main")


def test_appeals_are_listed_page_by_page(scanned: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cairn.hub.web.security_desk.MAX_APPEALS", 1)
    admin = root(scanned)
    for path in ("bad.pkl", "odd.pkl"):
        form = {"path": path, "text": f"{path} is a test", "back": BAD}
        post(scanned, "/ada/m/security-appeal/main", scanned.token, **form)
    first = scanned.page("/security/appeals", token=admin)
    assert "bad.pkl is a test" in first and "odd.pkl is a test" not in first
    assert "2 appeals waiting, 0 answered" in first and "?page=2" in first
    second = scanned.page("/security/appeals?page=2", token=admin)
    assert "odd.pkl is a test" in second and "bad.pkl is a test" not in second
    scanned.page("/security/appeals?page=3", token=admin, status=404)


def test_every_page_of_a_repo_says_what_its_scan_said(scanned: Home) -> None:
    commit = scanned.client.get("/api/models/ada/m").json()["sha"]
    for page in ("commits/main", f"commit/{commit}", "tensors/main", "storage/main"):
        assert "scan: 1 file malicious" in scanned.page(f"/ada/m/{page}"), page
    assert "scan: 1 file malicious" in scanned.page("/ada/m/weights/main")


def test_which_releases_load_a_file_without_known_flaws_is_said(scanned: Home) -> None:
    for page in ("/ada/m/security/main", "/ada/m/security/main/good.pkl"):
        assert "CPython &gt;= " in scanned.page(page) or "python &gt;= " in scanned.page(page), page


def test_administrators_waive_and_revoke_on_the_page(scanned: Home) -> None:
    admin = root(scanned)
    page = scanned.page(BAD, token=admin)
    assert 'action="/ada/m/security-waive"' in page
    sha = page.partition('name="sha256" value="')[2][:64]
    form = {"sha256": sha, "rule": "pickle-calls", "reason": "A drill.", "back": BAD}
    post(scanned, "/ada/m/security-waive", scanned.token, status=403, **form)
    post(scanned, "/ada/m/security-waive", admin, status=400, **{**form, "days": "x"})
    assert post(scanned, "/ada/m/security-waive", admin, **form) == BAD
    (told, *_) = scanned.house.catalog.notifications.of("ada", 5)
    assert told.text == "root waived what pickle-calls finds in bad.pkl: A drill."
    post(scanned, "/security/waivers/1/revoke", admin, reason="Once more.", back=BAD)
    (told, *_) = scanned.house.catalog.notifications.of("ada", 5)
    assert told.text == "root revoked the waiver of pickle-calls for bad.pkl: Once more."
    assert post(scanned, "/ada/m/security-waive", admin, where="everywhere", **form) == BAD
    listed = scanned.page("/security/waivers", token=admin)
    assert "every repository" in listed and "A drill." in listed and "bad.<wbr>pkl" in listed
    for path in ("/security/appeals", "/settings/recalls"):
        assert f'href="{path}"' in listed, "from one page for administrators to the others"
    assert "/security/waivers" not in scanned.page("/", token=scanned.token)
    scanned.page("/security/waivers", token=scanned.token, status=403)
    revoke = {"reason": "Over.", "back": "https://evil.example/"}
    assert post(scanned, "/security/waivers/2/revoke", admin, **revoke) == "/"
    assert "revoked by root" in scanned.page(BAD)


def test_owners_make_the_policy_stricter_on_the_page(tmp_path) -> None:
    with open_home(tmp_path, scan_policy="warn") as home:
        home.repo("ada/m", FILES)
        page = home.page(PAGE, token=home.token)
        assert '<option value="hold">' in page and '<option value="allow">' not in page
        assert "security-policy" not in home.page(PAGE)
        post(home, "/ada/m/security-policy", home.token, policy="hold", back=PAGE)
        assert '<option value="hold" selected>' in home.page(PAGE, token=home.token)
        post(home, "/ada/m/security-policy", home.token, status=403, policy="allow", back=PAGE)
        assert ">hold</a>" in home.page(PAGE)


def test_administrators_choose_the_policy_of_the_hub_on_the_page(scanned: Home) -> None:
    admin = root(scanned)
    page = scanned.page("/settings/recalls", token=admin)
    assert '<option value="default" selected>as the settings say: hold</option>' in page
    chosen = {"policy": "warn", "back": "/settings/recalls"}
    post(scanned, "/security/policy", scanned.token, status=403, **chosen)
    assert post(scanned, "/security/policy", admin, **chosen) == "/settings/recalls"
    assert '<option value="warn" selected>' in scanned.page("/settings/recalls", token=admin)
    assert post(scanned, "/security/policy", admin, policy="default", back="/") == "/"


def test_rules_have_a_page_each_finding_leads_to(home: Home) -> None:
    page = home.page("/security/rules")
    assert 'id="pickle-imports"' in page and "<code>cairn convert</code>" in page
