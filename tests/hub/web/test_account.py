"""One's own account as a browser sees it: passwords, and who is signed in."""

import re
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from cairn.catalog.password_hashes import PARAMETERS, PasswordHashes
from cairn.domain import Scope
from tests.hub.web.homes import HTML, Home, csrf_of, open_home

OLD, NEW = "a sentence nobody knows", "quite another sentence"


@pytest.fixture(scope="module")
def furnished(tmp_path_factory):
    with open_home(tmp_path_factory.mktemp("account"), sign_in_account_attempts=3) as home:
        passwords = home.house.catalog.passwords
        passwords._hashes = PasswordHashes(replace(PARAMETERS, memory_cost=64, time_cost=1))
        passwords.set("ada", OLD)
        yield home


@pytest.fixture
def home(furnished: Home):
    """The home with ada signed in by her password and nothing counted."""
    catalog = furnished.house.catalog
    furnished.client.cookies.clear()
    catalog.sessions.revoke_all("ada")
    catalog.attempts.forget("account ada")
    if not _knows(furnished, OLD):
        catalog.passwords.set("ada", OLD)
        assert _knows(furnished, OLD)
    catalog.attempts.forget("account ada")
    return furnished


def _knows(home: Home, password: str) -> bool:
    return home.post("/login", {"name": "ada", "password": password}).status_code == 303


def _actions(home: Home) -> list[str]:
    return [row.action for row in home.house.catalog.audit.recent(3)]


def test_a_name_and_a_password_open_a_session(home):
    home.client.cookies.clear()
    answer = home.post("/login", {"name": "ADA", "password": OLD, "next": "/ada"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/ada")
    assert "this one" in home.page("/settings/account")


def test_a_wrong_name_and_a_wrong_password_get_the_same_page(home):
    home.client.cookies.clear()
    pages = {
        re.sub(r'value="[^"]*"', "", home.post("/login", {"name": n, "password": p}).text)
        for n, p in (("ada", "wrong"), ("nobody", "wrong"), ("nobody", OLD), ("bob", OLD))
    }
    assert len(pages) == 1
    assert "The user name or the password is wrong." in pages.pop()
    assert "cairn_session" not in home.client.cookies
    last = home.house.catalog.audit.recent(4)
    assert {row.action for row in last} == {"session.refuse"}
    assert last[-1].detail == "password of ada from testclient"
    assert last[1].detail == "password of nobody here from testclient"


def test_signing_in_ends_the_session_before_and_makes_a_new_one(home):
    before = home.client.cookies["cairn_session"]
    home.post("/login", {"name": "ada", "password": OLD})
    after = home.client.cookies["cairn_session"]
    assert before != after
    home.client.cookies.clear()
    home.client.cookies.set("cairn_session", before)
    assert home.client.get("/settings/account", follow_redirects=False).status_code == 303


def test_too_many_wrong_passwords_close_the_account_to_more_of_them(home):
    home.client.cookies.clear()
    answers = [home.post("/login", {"name": "ada", "password": "wrong"}) for _ in range(4)]
    assert [a.status_code for a in answers] == [401, 401, 401, 429]
    assert 0 < int(answers[-1].headers["retry-after"]) <= 900
    assert "Too many attempts" in answers[-1].text
    assert home.post("/login", {"name": "ada", "password": OLD}).status_code == 429
    assert home.sign_in().status_code == 303


def test_changing_the_password_signs_everybody_else_out(home):
    with TestClient(home.app) as elsewhere:
        data = {"name": "ada", "password": OLD, "csrf": csrf_of(elsewhere)}
        headers = {**HTML, "sec-fetch-site": "same-origin"}
        elsewhere.post("/login", data=data, headers=headers, follow_redirects=False)
        assert "Your account" in elsewhere.get("/settings/account").text
        own = home.client.cookies["cairn_session"]
        changed = home.post("/settings/account/password", {"old": OLD, "new": NEW, "again": NEW})
        assert changed.status_code == 303
        assert home.client.cookies["cairn_session"] != own
        home.page("/settings/account")
        assert elsewhere.get("/settings/account", follow_redirects=False).status_code == 303
    assert _knows(home, NEW) and not _knows(home, OLD)
    assert home.house.catalog.tokens.actor(home.token).name == "ada"


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"old": "wrong", "new": NEW, "again": NEW}, 403, "not your password now"),
        ({"old": OLD, "new": NEW, "again": NEW + "x"}, 400, "two new passwords differ"),
        ({"old": OLD, "new": "short", "again": "short"}, 400, "at least 8 characters"),
        ({"old": OLD, "new": "lovelace1", "again": "lovelace1"}, 400, "first that are tried"),
        ({"new": NEW, "again": NEW}, 403, "not your password now"),
    ],
)
def test_a_password_is_not_changed_by_whoever_sits_there(home, fields, status, words):
    answer = home.post("/settings/account/password", fields)
    assert answer.status_code == status
    assert words in answer.text
    home.house.catalog.attempts.forget("account ada")
    assert _knows(home, OLD)


def test_guessing_the_old_password_is_limited_too(home):
    fields = {"old": "wrong", "new": NEW, "again": NEW}
    answers = [home.post("/settings/account/password", fields).status_code for _ in range(4)]
    assert answers == [403, 403, 403, 429]


def test_a_first_password_is_chosen_after_signing_in_with_a_token(home):
    home.house.catalog.passwords.remove("ada")
    home.client.cookies.clear()
    home.sign_in()
    assert "Choose a password" in home.page("/settings/account")
    home.post("/settings/account/password", {"new": OLD, "again": OLD})
    assert _actions(home) == ["session.start", "session.revoke", "password.change"]
    assert "Password now" in home.page("/settings/account")
    assert _knows(home, OLD)


def test_a_read_token_chooses_no_password(home):
    secret = home.house.catalog.tokens.create("bob", "reader", Scope.READ)
    home.client.cookies.clear()
    home.sign_in(secret)
    assert home.post("/settings/account/password", {"new": NEW, "again": NEW}).status_code == 403
    assert not home.house.catalog.passwords.exists("bob")


def test_browsers_are_signed_out_one_by_one_and_all_at_once(home):
    sessions = home.house.catalog.sessions
    cookies = [
        sessions.start("ada", "password", address="10.0.0.7", agent="<b>Far</b>/1") for _ in "123"
    ]
    page = home.page("/settings/account")
    assert page.count("10.0.0.7") >= 3
    assert "&lt;b&gt;Far" in page and "<b>Far" not in page
    number = re.search(r'name="session" value="(\d+)"', page).group(1)
    assert home.post("/settings/account/sessions/end", {"session": number}).status_code == 303
    assert len(sessions.list("ada")) == 3
    theirs = sessions.start("bob", "password")
    other = sessions.list("bob")[0].id
    for bad, status in ((str(other), 404), ("x", 400), ("9" * 30, 400)):
        answer = home.post("/settings/account/sessions/end", {"session": bad})
        assert answer.status_code == status
    assert home.post("/settings/account/sessions/end-others").status_code == 303
    assert [s.is_current for s in sessions.list("ada", home.client.cookies["cairn_session"])] == [
        True
    ]
    assert sessions.actor(theirs).name == "bob"
    assert len(cookies) == 3


def test_visitors_are_asked_to_sign_in_before_they_see_an_account(home):
    home.client.cookies.clear()
    answer = home.client.get("/settings/account", headers=HTML, follow_redirects=False)
    assert answer.headers["location"] == "/login?next=/settings/account"
    for path in ("sessions/end", "sessions/end-others"):
        answer = home.post(f"/settings/account/{path}", {"session": "1"})
        assert answer.status_code == 403, path
