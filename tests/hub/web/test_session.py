"""Signing in with a token, out again, and managing tokens, as a browser does it."""

import re
from base64 import b64encode

import pytest
from fastapi.testclient import TestClient

from cairn.domain import Scope
from cairn.hub.web import routes as web
from cairn.hub.web.session import local_target
from tests.hub.web.homes import HTML, OURS, csrf_of, open_home


def _forms() -> list[str]:
    """An address of every form of a page; the proof is asked for before what it is about."""
    templates = {r.template for r in web.routes if "POST" in getattr(r, "methods", ())}
    return sorted(re.sub(r"\{\w+(?::\w+)?\}", "1", template) for template in templates)


FORMS = _forms()
FIELDS = {
    "name": "laptop",
    "scope": "write",
    "session": "1",
    "new": "a sentence nobody knows",
    "again": "a sentence nobody knows",
}


def test_a_token_becomes_a_session_that_ends_with_sign_out(home):
    home.repo("ada/secret", private=True)
    home.page("/ada/secret", status=404)
    answer = home.sign_in()
    assert (answer.status_code, answer.headers["location"]) == (303, "/ada")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert home.token not in cookie
    home.page("/ada/secret")
    old = home.client.cookies["cairn_session"]
    home.post("/logout")
    home.client.cookies.set("cairn_session", old)
    home.page("/ada/secret", status=404)


def test_over_https_no_other_host_can_set_or_read_the_cookie(tmp_path):
    with open_home(tmp_path, public_url="https://models.example") as home:
        home.client.base_url = "https://models.example"
        made = home.sign_in().headers["set-cookie"]
        assert made.startswith("__Host-cairn_session=")
        assert all(word in made for word in ("Secure", "HttpOnly", "Path=/", "SameSite=lax"))
        assert "Domain" not in made
        home.page("/settings/account")
        gone = home.post("/logout").headers["set-cookie"]
        assert gone.startswith('__Host-cairn_session="";') and "Secure" in gone


@pytest.mark.parametrize("token", ["nonsense", "cairn_" + "a" * 43, "x" * 399, "ä"])
def test_an_unknown_token_is_refused_without_a_cookie(home, token):
    answer = home.sign_in(token)
    assert answer.status_code == 401
    assert "does not know that token" in answer.text
    assert "cairn_session" not in answer.headers.get("set-cookie", "")
    assert "www-authenticate" not in answer.headers


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "origin": "http://testserver"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {},
    ],
)
@pytest.mark.parametrize("path", FORMS)
def test_forms_of_other_sites_change_nothing(signed_in, path, headers):
    token = signed_in.csrf()
    answer = signed_in.client.post(
        path, data={**FIELDS, "csrf": token}, headers={**HTML, **headers}, follow_redirects=False
    )
    _nothing_changed(signed_in, answer)


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize("token", ["", "x", ".", "a.b", "other browser", "no cookie"])
def test_forms_that_were_not_made_for_this_browser_change_nothing(signed_in, path, token):
    if token == "other browser":
        with TestClient(signed_in.app) as other:
            token = csrf_of(other)
    client = signed_in.client
    if token == "no cookie":
        token, client = signed_in.csrf(), TestClient(signed_in.app)
    answer = client.post(path, data={**FIELDS, "csrf": token}, headers=OURS, follow_redirects=False)
    _nothing_changed(signed_in, answer)


@pytest.mark.parametrize("scheme", ["Basic", "basic", "Bear", ""])
def test_only_a_token_in_a_header_stands_for_the_proof(signed_in, scheme):
    secret = b64encode(f"ada:{signed_in.token}".encode()).decode()
    headers = {**HTML, "authorization": f"{scheme} {secret}", "sec-fetch-site": "cross-site"}
    answer = signed_in.client.post("/settings/tokens", data=FIELDS, headers=headers)
    assert answer.status_code == 403
    headers["authorization"] = f"Bearer {signed_in.token}"
    made = signed_in.client.post(
        "/settings/tokens", data={"name": "by header", "scope": "read"}, headers=headers
    )
    assert made.status_code == 200
    signed_in.house.catalog.tokens.revoke("ada", "by header")


def test_every_form_of_a_page_is_among_those():
    assert len(FORMS) > 8
    assert {"/login", "/logout", "/settings/account/password"} < set(FORMS)


def _nothing_changed(home, answer):
    assert answer.status_code == 403
    catalog = home.house.catalog
    assert [t.name for t in catalog.tokens.list("ada")] == ["laptop"]
    assert not catalog.passwords.exists("ada")
    assert len(catalog.sessions.list("ada")) == 1
    home.page("/settings/tokens")


@pytest.fixture(scope="module")
def signed_in(tmp_path_factory):
    with open_home(tmp_path_factory.mktemp("signed-in")) as home:
        home.sign_in()
        yield home


def test_an_origin_header_of_ours_is_enough_for_older_browsers(home):
    answer = home.client.post(
        "/login",
        data={"token": home.token, "csrf": home.csrf()},
        headers={**HTML, "origin": "http://testserver"},
        follow_redirects=False,
    )
    assert answer.status_code == 303


@pytest.mark.parametrize(
    "target",
    [
        *("//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)"),
        *("\t//evil.example", "/\t/evil.example", "", "evil", "/ok\r\nSet-Cookie: a=b", "/é"),
    ],
)
def test_after_signing_in_nobody_is_sent_elsewhere(target):
    assert local_target(target) == "/"


def test_a_new_token_is_shown_once_and_works(home):
    home.sign_in()
    made = home.post("/settings/tokens", {"name": "ci", "scope": "read"})
    secret = re.search(r"cairn_[\w-]{20,}", made.text).group(0)
    assert home.house.catalog.tokens.actor(secret).scope is Scope.READ
    again = home.page("/settings/tokens")
    assert secret not in again
    assert ">ci<" in again
    home.post("/settings/tokens/revoke", {"name": "ci"})
    assert ">ci<" not in home.page("/settings/tokens")


def test_a_token_for_some_repos_is_made_with_an_end(home):
    home.sign_in()
    rows = {"permission-1": "write", "where-1": "ada/m", "permission-2": "read", "where-2": "bob"}
    data = {"name": "ci", "scope": "fineGrained", "expires": "30", **rows, "permission-3": "admin"}
    made = home.post("/settings/tokens", data)
    secret = re.search(r"cairn_[\w-]{20,}", made.text).group(0)
    actor = home.house.catalog.tokens.actor(secret)
    assert [str(grant) for grant in actor.grants] == ["write:ada/m", "read:bob"]
    page = home.page("/settings/tokens")
    assert "write:ada" in page and "never" in page
    (record,) = [t for t in home.house.catalog.tokens.list("ada") if t.name == "ci"]
    assert round((record.expires_at - record.created_at).total_seconds() / 86400) == 30


def test_a_session_opened_with_a_read_token_cannot_make_tokens(home):
    reader = home.house.catalog.tokens.create("ada", "reader", Scope.READ)
    home.sign_in(reader)
    answer = home.post("/settings/tokens", {"name": "more", "scope": "write"})
    assert answer.status_code == 403
    assert "read token" in home.page("/settings/tokens")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        ({"name": "", "scope": "read"}, 400),
        ({"name": "x" * 101, "scope": "read"}, 400),
        ({"name": "a\nb", "scope": "read"}, 400),
        ({"name": "ok", "scope": "admin"}, 400),
        ({"name": "ok", "scope": "fineGrained"}, 400),
        ({"name": "ok", "scope": "fineGrained", "permission-1": "own", "where-1": "a"}, 400),
        ({"name": "ok", "scope": "fineGrained", "permission-1": "read", "where-1": "a b"}, 400),
        ({"name": "ok", "scope": "read", "expires": "-1"}, 400),
        ({"name": "laptop", "scope": "read"}, 400),
        ({"name": "x" * 20_000, "scope": "read"}, 413),
    ],
)
def test_a_token_that_cannot_be_is_refused_with_a_page(signed_in, data, status):
    answer = signed_in.post("/settings/tokens", data)
    assert answer.status_code == status
    assert "text/html" in answer.headers["content-type"]


def test_a_form_that_is_not_one_is_refused(signed_in):
    for content, kind in ((b"{}", "application/json"), (b"name=%ff", None), (b"\xff", None)):
        headers = {**OURS, "content-type": kind or "application/x-www-form-urlencoded"}
        answer = signed_in.client.post("/settings/tokens", content=content, headers=headers)
        assert answer.status_code == 400


def test_visitors_are_asked_to_sign_in_before_they_see_tokens(home):
    answer = home.client.get("/settings/tokens", headers=HTML, follow_redirects=False)
    assert answer.headers["location"] == "/login?next=/settings/tokens"
