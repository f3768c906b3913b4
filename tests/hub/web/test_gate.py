"""The pages of a gated repo: what strangers are asked, and what owners decide."""

import re
from collections.abc import Iterator

import pytest

from cairn.domain import AccessState, RepoId
from cairn.workflows.gate_form import BUTTON
from tests.hub.web.homes import Home, open_home

CARD = b"""---
license: mit
extra_gated_heading: Acknowledge the licence
extra_gated_prompt: You agree not to *harm* anybody. <script>alert(1)</script>
extra_gated_button_content: Acknowledge it
extra_gated_fields:
  Company: text
  Born: date_picker
  Use:
    type: select
    options: [Research, {label: Some other, value: other}]
  I agree "always": checkbox
---
# Nobody reads this before
"""
FORM = {
    "answer:Company": "X & Sons",
    "answer:Born": "2001-02-03",
    "answer:Use": "other",
    'answer:I agree "always"': "on",
    "message": "Dear owners",
}
REQUESTS = "/ada/m/access-requests"


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with open_home(tmp_path_factory.mktemp("gate")) as home:
        yield home


@pytest.fixture
def home(opened: Home) -> Home:
    """The same for all tests, and nobody is signed in."""
    opened.client.cookies.clear()
    return opened


@pytest.fixture
def gated(home: Home) -> Iterator[RepoId]:
    """A gated repo for one test."""
    repo = home.repo("ada/m", {"README.md": CARD, "secret.txt": b"secret"})
    home.house.catalog.repos.update(repo, gated="manual")
    yield repo
    home.house.catalog.repos.delete(repo)


def gate(home: Home, token: str | None = None) -> str:
    return home.page("/ada/m", token=token)


def state_of(home: Home, repo: RepoId, who: str = "bob") -> AccessState | None:
    catalog = home.house.catalog
    asked = catalog.access_requests.find(catalog.repos.get(repo).uid, who)
    return asked and asked.state


def test_the_gate_shows_what_the_card_says_and_not_the_card(home: Home, gated: RepoId) -> None:
    page = gate(home, home.stranger_token)
    assert "Acknowledge the licence" in page and "Acknowledge it</button>" in page
    assert "<em>harm</em>" in page and "alert(1)" not in page
    assert "Nobody reads this before" not in page
    assert 'name="answer:Company" required' in page
    assert '<input id="answer-2" type="date" name="answer:Born"' in page
    assert '<option value="other">Some other</option>' in page
    assert 'name="answer:I agree &#34;always&#34;" required' in page
    assert "extra gated" not in page and "<td>mit</td>" in page
    assert not re.search(r'href="/ada/m/(tree|commits|tensors)', page), "what would be refused"


def test_nobody_is_asked_to_sign_in_first(home: Home, gated: RepoId) -> None:
    page = gate(home)
    assert 'href="/login?next=/ada/m"' in page and "<button>" not in page
    refused = home.page("/ada/m/tree/main", status=401)
    assert "You must have access to it and be authenticated" in refused


def test_other_pages_lead_to_the_gate(home: Home, gated: RepoId) -> None:
    refused = home.page("/ada/m/tree/main", token=home.stranger_token, status=403)
    assert '<a class="button" href="/ada/m">Ask for access</a>' in refused


def test_a_person_asks_waits_and_is_let_in(home: Home, gated: RepoId) -> None:
    home.sign_in(home.stranger_token)
    sent = home.post("/ada/m/ask-access", FORM)
    assert (sent.status_code, sent.headers["location"]) == (303, "/ada/m")
    page = gate(home)
    assert "awaiting a review" in page and '<form class="stack"' not in page
    assert home.post("/ada/m/ask-access", FORM).status_code == 409
    home.sign_in()
    waiting = home.page(REQUESTS)
    assert "X &amp; Sons" in waiting and "Dear owners" in waiting and "<dd>yes</dd>" in waiting
    assert 'Access<span class="count">1</span>' in waiting
    done = home.post(f"{REQUESTS}/decide", {"user": "bob", "state": "accepted"})
    assert done.headers["location"] == REQUESTS
    assert "No request waits" in home.page(REQUESTS)
    assert "accepted by ada" in home.page(f"{REQUESTS}?state=accepted")
    home.sign_in(home.stranger_token)
    assert '<a href="/ada/m">ada/' in home.page("/settings/account")
    inside = gate(home)
    assert "Nobody reads this before" in inside and "You were let in" in inside
    assert 'access-requests"' not in inside


def test_a_rejected_person_reads_why(home: Home, gated: RepoId) -> None:
    home.sign_in(home.stranger_token)
    home.post("/ada/m/ask-access", FORM)
    home.sign_in()
    decided = {"user": "bob", "state": "rejected", "reason": "too <early>", "from": "pending"}
    home.post(f"{REQUESTS}/decide", decided)
    assert "too &lt;early&gt;" in home.page(f"{REQUESTS}?state=rejected")
    page = gate(home, home.stranger_token)
    assert "has been rejected" in page and "too &lt;early&gt;" in page and "ask-access" not in page


def test_an_owner_lets_in_by_name_and_takes_it_back(home: Home, gated: RepoId) -> None:
    home.sign_in()
    assert "Nobody was let in" in home.page(f"{REQUESTS}?state=accepted")
    assert "Nobody was rejected" in home.page(f"{REQUESTS}?state=rejected")
    done = home.post(f"{REQUESTS}/grant", {"user": "bob"})
    assert done.headers["location"] == f"{REQUESTS}?state=accepted"
    assert "let in without asking" in home.page(f"{REQUESTS}?state=accepted")
    back = {"user": "bob", "state": "pending", "from": "accepted"}
    assert home.post(f"{REQUESTS}/decide", back).headers["location"] == f"{REQUESTS}?state=accepted"
    assert state_of(home, gated) is AccessState.PENDING
    assert home.post(f"{REQUESTS}/grant", {"user": "nobody"}).status_code == 404
    assert home.post(f"{REQUESTS}/decide", {"user": "bob", "state": "maybe"}).status_code == 400


def test_an_auto_gate_lets_in_whoever_asks(home: Home, gated: RepoId) -> None:
    home.house.catalog.repos.update(gated, gated="auto")
    home.commit(gated, {"README.md": b"# Plain\n"})
    page = gate(home, home.stranger_token)
    assert BUTTON in page and "let in at once" in page and 'name="message"' not in page
    home.sign_in(home.stranger_token)
    home.post("/ada/m/ask-access")
    assert "Plain" in gate(home) and state_of(home, gated) is AccessState.ACCEPTED


def test_a_request_from_another_site_or_without_the_token_is_refused(
    home: Home, gated: RepoId
) -> None:
    home.sign_in(home.stranger_token)
    assert home.post("/ada/m/ask-access", {**FORM, "csrf": "x"}).status_code == 403
    assert (
        home.post("/ada/m/ask-access", FORM, **{"sec-fetch-site": "cross-site"}).status_code == 403
    )
    assert state_of(home, gated) is None


def test_requests_come_in_pages(home: Home, gated: RepoId, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cairn.hub.web.access_requests.PAGE_SIZE", 2)
    record = home.house.catalog.repos.get(gated)
    for name in ("pam", "quin", "rob"):
        home.house.catalog.accounts.create_user(name)
        home.house.catalog.access_requests.grant(record, name, None)
    home.sign_in()
    first = home.page(f"{REQUESTS}?state=accepted")
    assert "3 requests, 1 to 2" in first and "?state=accepted&amp;page=2" in first
    second = home.page(f"{REQUESTS}?state=accepted&page=2")
    assert "3 requests, 3 to 3" in second
    home.page(f"{REQUESTS}?state=accepted&page=3", status=404)
    home.page(f"{REQUESTS}?state=odd", status=400)
