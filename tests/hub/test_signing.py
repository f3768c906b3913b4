"""Signed URLs and tokens: only what was signed, only until then, only by this key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cairn.errors import ForbiddenError, UnauthenticatedError
from cairn.hub.signing import Signer

KEY = b"k" * 32


def parsed(query: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in query.split("&"))


def signer(now: float = 1000.0, key: bytes = KEY) -> Signer:
    return Signer(key, clock=lambda: now)


def test_a_signed_url_gives_back_its_claims():
    query = parsed(signer().url_query("PUT", "/a", {"size": 5, "uid": "x"}, 60))
    claims = signer(1059).check_url("PUT", "/a", query)
    assert claims == {"size": 5, "uid": "x", "exp": 1060}


def test_it_expires():
    query = parsed(signer().url_query("PUT", "/a", {}, 60))
    with pytest.raises(ForbiddenError, match="expired"):
        signer(1060).check_url("PUT", "/a", query)


@pytest.mark.parametrize(
    ("method", "path", "key"), [("GET", "/a", KEY), ("PUT", "/b", KEY), ("PUT", "/a", b"j" * 32)]
)
def test_it_is_for_one_method_one_path_and_one_key(method, path, key):
    query = parsed(signer().url_query("PUT", "/a", {"size": 5}, 60))
    with pytest.raises(ForbiddenError):
        signer(key=key).check_url(method, path, query)


@given(st.text(max_size=80), st.text(max_size=80))
def test_nothing_made_up_passes(claims, signature):
    with pytest.raises(ForbiddenError):
        signer().check_url("PUT", "/a", {"claims": claims, "signature": signature})


@given(st.integers(0, 200), st.characters(min_codepoint=33, max_codepoint=126))
def test_no_character_of_it_can_be_changed(at, character):
    query = signer().url_query("PUT", "/a", {"size": 5}, 60)
    at %= len(query)
    changed = query[:at] + character + query[at + 1 :]
    if changed != query and "&" in changed and all("=" in p for p in changed.split("&")):
        with pytest.raises(ForbiddenError):
            signer().check_url("PUT", "/a", parsed(changed))


def test_a_token_is_for_one_purpose_and_is_no_url():
    token = signer().token("xet-write", {"repo": "r"}, 2000)
    assert signer().check_token("xet-write", token)["repo"] == "r"
    for purpose, text in (("xet-read", token), ("xet-write", token + "x"), ("xet-write", "")):
        with pytest.raises(UnauthenticatedError):
            signer().check_token(purpose, text)
    with pytest.raises(UnauthenticatedError, match="expired"):
        signer(2000).check_token("xet-write", token)
    body, mac = token.split(".")
    with pytest.raises(ForbiddenError):
        signer().check_url("xet-write", "", {"claims": body, "signature": mac})


def test_a_short_key_is_refused():
    with pytest.raises(ValueError, match="16 bytes"):
        Signer(b"short")
