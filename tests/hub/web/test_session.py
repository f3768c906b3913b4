"""Signing in with a token, out again, and managing tokens, as a browser does it."""

import re

import pytest

from cairn.domain import Scope
from cairn.hub.web.session import local_target
from tests.hub.web.homes import HTML, open_home

OURS = {**HTML, "sec-fetch-site": "same-origin"}


def _sign_in(home, token=None, **headers):
    data = {"token": token or home.token, "next": "/ada"}
    return home.client.post(
        "/login", data=data, headers={**OURS, **headers}, follow_redirects=False
    )


def test_a_token_becomes_a_session_that_ends_with_sign_out(home):
    home.repo("ada/secret", private=True)
    home.page("/ada/secret", status=404)
    answer = _sign_in(home)
    assert (answer.status_code, answer.headers["location"]) == (303, "/ada")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert home.token not in cookie
    home.page("/ada/secret")
    old = home.client.cookies["cairn_session"]
    home.client.post("/logout", headers=OURS)
    home.client.cookies.set("cairn_session", old)
    home.page("/ada/secret", status=404)


def test_the_cookie_is_secure_over_https(tmp_path):
    with open_home(tmp_path, public_url="https://models.example") as home:
        assert "Secure" in _sign_in(home).headers["set-cookie"]


@pytest.mark.parametrize("token", ["nonsense", "cairn_" + "a" * 43, "x" * 399, "ä"])
def test_an_unknown_token_is_refused_without_a_cookie(home, token):
    answer = _sign_in(home, token=token)
    assert answer.status_code == 401
    assert "does not know that token" in answer.text
    assert "set-cookie" not in answer.headers
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
@pytest.mark.parametrize(
    "path", ["/login", "/logout", "/settings/tokens", "/settings/tokens/revoke"]
)
def test_forms_of_other_sites_change_nothing(signed_in, path, headers):
    data = {"token": signed_in.token, "name": "laptop", "scope": "write"}
    answer = signed_in.client.post(path, data=data, headers={**HTML, **headers})
    assert answer.status_code == 403
    names = [t.name for t in signed_in.house.catalog.tokens.list("ada")]
    assert names == ["laptop"]
    signed_in.page("/settings/tokens")


@pytest.fixture(scope="module")
def signed_in(tmp_path_factory):
    with open_home(tmp_path_factory.mktemp("signed-in")) as home:
        _sign_in(home)
        yield home


def test_an_origin_header_of_ours_is_enough_for_older_browsers(home):
    answer = home.client.post(
        "/login",
        data={"token": home.token},
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
    _sign_in(home)
    made = home.client.post("/settings/tokens", data={"name": "ci", "scope": "read"}, headers=OURS)
    secret = re.search(r"cairn_[\w-]{20,}", made.text).group(0)
    assert home.house.catalog.tokens.actor(secret).scope is Scope.READ
    again = home.page("/settings/tokens")
    assert secret not in again
    assert ">ci<" in again
    home.client.post("/settings/tokens/revoke", data={"name": "ci"}, headers=OURS)
    assert ">ci<" not in home.page("/settings/tokens")


def test_a_session_opened_with_a_read_token_cannot_make_tokens(home):
    reader = home.house.catalog.tokens.create("ada", "reader", Scope.READ)
    _sign_in(home, token=reader)
    answer = home.client.post(
        "/settings/tokens", data={"name": "more", "scope": "write"}, headers=OURS
    )
    assert answer.status_code == 403
    assert "read token" in home.page("/settings/tokens")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        ({"name": "", "scope": "read"}, 400),
        ({"name": "x" * 101, "scope": "read"}, 400),
        ({"name": "a\nb", "scope": "read"}, 400),
        ({"name": "ok", "scope": "admin"}, 400),
        ({"name": "laptop", "scope": "read"}, 400),
        ({"name": "x" * 20_000, "scope": "read"}, 413),
    ],
)
def test_a_token_that_cannot_be_is_refused_with_a_page(signed_in, data, status):
    answer = signed_in.client.post("/settings/tokens", data=data, headers=OURS)
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
