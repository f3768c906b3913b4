"""Signing in by an OpenID provider that really runs, and every way its answer may be wrong."""

import re
import time
from urllib.parse import parse_qs, urlsplit
from urllib.request import HTTPRedirectHandler, build_opener

import pytest
from fastapi.testclient import TestClient

from cairn.config import Settings
from cairn.errors import RequestError, UnavailableError
from cairn.hub.app import create_app
from tests.hub.oidc_provider import CLIENT, SECRET, Provider, another_key, running_provider
from tests.hub.web.homes import HTML, OURS, Home, open_home
from tests.hub.web.homes import SECRET as HUB_SECRET

CALLBACK = "/login/oidc/callback"


class _Stay(HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return


class Site:
    """A hub, the provider it knows, and one browser."""

    def __init__(self, home: Home, provider: Provider) -> None:
        self.home, self.provider = home, provider
        self.browser = home.client

    def set(self, **settings: object) -> None:
        """The same hub, started anew with other settings."""
        before = self.home.app.state.settings
        app = create_app(self.home.house, before.model_copy(update=settings))
        self.home.app = app
        self.home.client = self.browser = TestClient(app, raise_server_exceptions=False)

    def depart(self, path: str = "/login/oidc?next=/ada") -> str:
        """Where the hub sends the browser."""
        answer = self.browser.get(path, headers=OURS, follow_redirects=False)
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    def at_provider(self, url: str) -> str:
        """Where the provider sends it back to: path and query on this hub."""
        try:
            build_opener(_Stay).open(url, timeout=10)
        except OSError as redirect:
            back = urlsplit(redirect.headers["Location"])
            redirect.close()
        assert back.path == CALLBACK
        return f"{back.path}?{back.query}"

    def arrive(self, path: str):
        return self.browser.get(path, headers=HTML, follow_redirects=False)

    def sign_in(self, path: str = "/login/oidc?next=/ada"):
        return self.arrive(self.at_provider(self.depart(path)))

    def who(self) -> str:
        """Who the browser is signed in as; empty for nobody."""
        page = self.browser.get("/", headers=HTML).text
        found = re.search(r"<summary>(\w+)", page)
        return found.group(1) if found else ""


@pytest.fixture(scope="module")
def provider():
    with running_provider() as running:
        yield running


@pytest.fixture
def site(tmp_path, provider):
    fresh = Provider()
    kept = {"issuer": provider.issuer, "keys": provider.keys}
    provider.__dict__.update(fresh.__dict__ | kept)
    secret = tmp_path / "client-secret"
    secret.write_text(SECRET + "\n")
    settings = {
        "oidc_issuer": provider.issuer,
        "oidc_client_id": CLIENT,
        "oidc_client_secret_file": secret,
        "oidc_label": "Sign in with Corp",
    }
    with open_home(tmp_path / "data", **settings) as home:
        yield Site(home, provider)


def refused(site: Site, answer, words: str, status: int = 401) -> None:
    assert answer.status_code == status, answer.text
    assert words in answer.text, answer.text
    assert site.who() == ""
    assert [a.name for a in site.home.house.catalog.accounts.list_accounts()] == ["ada", "bob"]


def test_somebody_new_gets_an_account_and_a_session(site):
    assert "Sign in with Corp" in site.home.page("/login")
    site.provider.claims = {"email": "g@navy.example", "email_verified": True, "name": "Grace H."}
    answer = site.sign_in()
    assert (answer.status_code, answer.headers["location"]) == (303, "/ada")
    assert site.who() == "grace"
    account = site.home.house.catalog.accounts.get("grace")
    assert (account.full_name, account.email, account.is_admin) == (
        "Grace H.",
        "g@navy.example",
        False,
    )
    (session,) = site.home.house.catalog.sessions.list("grace")
    assert session.way == "oidc"
    actions = [r.action for r in site.home.house.catalog.audit.recent(2)]
    assert actions == ["session.start", "identity.link"]
    assert "g@navy.example" in site.home.page("/settings/account")


def test_the_subject_is_who_somebody_is_whatever_they_are_called_now(site):
    site.sign_in()
    site.provider.user = {"sub": "u-1", "preferred_username": "ada", "email": "ada@x.example"}
    site.sign_in()
    assert site.who() == "grace"
    site.provider.user = {"sub": "u-2", "preferred_username": "grace"}
    site.browser.cookies.clear()
    answer = site.sign_in()
    assert answer.status_code == 403 and "is taken here" in answer.text


def test_an_account_that_is_there_is_never_taken_over_by_name_or_address(site):
    site.provider.user = {"sub": "u-9", "preferred_username": "ADA"}
    site.provider.claims = {"email": "ada@example.org", "email_verified": True}
    refused(site, site.sign_in(), "is taken here", 403)
    for name in ("", "api", "../x", "a b", None):
        site.provider.user = {"sub": "u-9", "preferred_username": name}
        refused(site, site.sign_in(), "ask an administrator" if name != "api" else "taken", 403)


def test_the_request_asks_for_a_code_with_pkce_state_and_nonce(site):
    first, second = (parse_qs(urlsplit(site.depart()).query) for _ in "12")
    for name in ("state", "nonce", "code_challenge"):
        assert first[name] != second[name] and len(first[name][0]) >= 43
    assert first["redirect_uri"] == [f"http://testserver{CALLBACK}"]
    assert first["scope"] == ["openid profile email"]
    assert "client_secret" not in first


def test_an_answer_is_good_for_the_browser_that_asked_and_once(site):
    back = site.at_provider(site.depart())
    with TestClient(site.home.app) as other:
        stolen = other.get(back, headers=HTML, follow_redirects=False)
    assert stolen.status_code == 401
    assert site.arrive(back).status_code == 303
    assert site.arrive(back).status_code == 401
    forged = back.replace("state=", "state=x")
    site.browser.cookies.clear()
    site.depart()
    answer = site.arrive(forged)
    assert answer.status_code == 401 and "another sign-in" in answer.text


def test_a_code_of_another_sign_in_cannot_be_slipped_in(site):
    with TestClient(site.home.app) as attacker:
        url = attacker.get("/login/oidc", follow_redirects=False).headers["location"]
        code = parse_qs(urlsplit(site.at_provider(url)).query)["code"][0]
    state = parse_qs(urlsplit(site.depart()).query)["state"][0]
    refused(site, site.arrive(f"{CALLBACK}?code={code}&state={state}"), "answered 400", 503)
    assert site.provider.refusals == ["verifier"]


NOW = int(time.time())


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"nonce": "another"}, "another sign-in"),
        ({"nonce": None}, "another sign-in"),
        ({"aud": "somebody-else"}, "Audience"),
        ({"aud": None}, "aud"),
        ({"aud": [CLIENT, "other"]}, "another client"),
        ({"azp": "other"}, "another client"),
        ({"iss": "https://evil.example"}, "issuer"),
        ({"exp": NOW - 3600}, "expired"),
        ({"exp": None}, "exp"),
        ({"iat": NOW + 3600}, "not yet valid"),
        ({"sub": None}, "sub"),
        ({"sub": ""}, "names nobody"),
        ({"sub": "x" * 256}, "names nobody"),
    ],
)
def test_a_token_with_claims_that_do_not_fit_is_refused(site, claims, words):
    site.provider.claims = claims
    refused(site, site.sign_in(), words)


def test_a_token_that_the_provider_did_not_sign_is_refused(site):
    site.provider.signing_key = another_key()
    refused(site, site.sign_in(), "Signature verification failed")


def test_a_token_without_a_signature_is_refused(site):
    site.provider.algorithm, site.provider.signing_key = "none", ""
    refused(site, site.sign_in(), "&#39;none&#39; are not accepted")


@pytest.mark.parametrize("algorithm", ["HS256", "HS512"])
def test_a_secret_is_no_key_for_signatures(site, algorithm):
    site.provider.algorithm, site.provider.signing_key = algorithm, SECRET * 4
    refused(site, site.sign_in(), "are not accepted")


def test_a_token_is_checked_by_the_algorithm_its_key_is_for(site):
    site.provider.algorithm, site.provider.signing_key = "ES256", another_key("ES256")
    refused(site, site.sign_in(), "is not valid")
    site.provider.algorithm, site.provider.signing_key = "PS256", None
    refused(site, site.sign_in(), "is not valid")


def test_an_unknown_key_is_looked_for_once_a_minute_and_refused(site):
    site.provider.header = {"kid": "nobody's"}
    for _ in range(3):
        refused(site, site.sign_in(), "has no key")
    assert site.provider.key_fetches == 1


def test_a_key_that_came_later_is_found(site):
    clock = [0.0]
    site.home.app.state.oidc.provider._clock = lambda: clock[0]
    site.sign_in()
    before = dict(site.provider.keys)
    site.provider.keys = {"second": another_key("ES256")}
    site.provider.algorithm = "ES256"
    site.browser.cookies.clear()
    assert site.sign_in().status_code == 401
    clock[0] += 61
    assert site.sign_in().status_code == 303
    assert site.who() == "grace"
    site.provider.keys = before


def test_another_providers_answer_is_told_apart(site):
    site.provider.answer = {"iss": "https://evil.example"}
    refused(site, site.sign_in(), "another provider")
    site.provider.answer = {"iss": site.provider.issuer}
    assert site.sign_in().status_code == 303


def test_a_provider_that_says_it_names_itself_must(site):
    site.provider.discovery = {"authorization_response_iss_parameter_supported": True}
    refused(site, site.sign_in(), "another provider")


def test_a_provider_that_calls_itself_otherwise_is_not_asked(site):
    site.provider.discovery = {"issuer": "https://evil.example"}
    answer = site.browser.get("/login/oidc", headers=HTML, follow_redirects=False)
    assert answer.status_code == 503 and "calls itself" in answer.text


@pytest.mark.parametrize(
    "address", ["http://evil.example/keys", "file:///etc/passwd", "ftp://127.0.0.1/", None, 7]
)
def test_addresses_that_are_not_https_are_not_asked(site, address):
    site.provider.discovery = {"jwks_uri": address}
    answer = site.browser.get("/login/oidc", headers=HTML, follow_redirects=False)
    assert answer.status_code == 400 and "no https address" in answer.text


def test_a_refusal_at_the_provider_is_told(site):
    state = parse_qs(urlsplit(site.depart()).query)["state"][0]
    path = f"{CALLBACK}?error=access_denied&state={state}"
    refused(site, site.arrive(path), "The provider refused: access_denied")
    row = site.home.house.catalog.audit.recent(1)[0]
    assert (row.action, row.detail) == ("session.refuse", "oidc of nobody here from testclient")


def test_only_some_domains_and_groups_may_sign_in(site):
    site.set(oidc_allowed_domains=("Corp.example",))
    for email, verified in (
        ("g@other.example", True),
        ("g@corp.example", False),
        ("g@corp.example", "true"),
        ("g@corp.example.evil.example", True),
        (None, True),
    ):
        site.provider.claims = {"email": email, "email_verified": verified}
        refused(site, site.sign_in(), "of other domains", 403)
    site.provider.claims = {"email": "g@CORP.example", "email_verified": True}
    assert site.sign_in().status_code == 303
    site.set(oidc_allowed_domains=(), oidc_allowed_groups=("ml",), oidc_groups_claim="teams")
    for groups in (None, "ml", ["sales"], [["ml"]]):
        site.provider.claims = {"teams": groups}
        assert site.sign_in().status_code == 403
    site.provider.claims = {"teams": ["sales", "ml"]}
    assert site.sign_in().status_code == 303


def test_a_hub_may_leave_making_accounts_to_its_administrator(site):
    site.set(oidc_creates_accounts=False)
    refused(site, site.sign_in(), "nobody here is linked".capitalize(), 403)


def _link(site: Site) -> str:
    page = site.home.page("/settings/account")
    return re.search(r'href="(/settings/account/link\?csrf=[^"]+)"', page).group(1)


def test_an_identity_is_linked_and_unlinked_on_the_page_of_the_account(site):
    site.home.house.catalog.passwords.set("ada", "a sentence nobody knows")
    site.home.post("/login", {"name": "ada", "password": "a sentence nobody knows"})
    assert site.sign_in(_link(site)).headers["location"] == "/settings/account"
    assert site.who() == "ada"
    site.browser.cookies.clear()
    site.sign_in()
    assert site.who() == "ada"
    fields = {"issuer": site.provider.issuer, "subject": "u-1"}
    assert site.home.post("/settings/account/unlink", fields).status_code == 303
    assert site.home.house.catalog.identities.list("ada") == []


def test_nobody_is_made_to_link_an_identity_that_is_not_theirs(site):
    site.home.sign_in()
    link = _link(site)
    for path, headers in (
        (link, {**HTML, "sec-fetch-site": "cross-site"}),
        (link.replace("csrf=", "csrf=x"), OURS),
        ("/settings/account/link", OURS),
    ):
        answer = site.browser.get(path, headers=headers, follow_redirects=False)
        assert answer.status_code == 403
    back = site.at_provider(site.depart(link))
    site.home.sign_in(site.home.stranger_token)
    answer = site.arrive(back)
    assert answer.status_code == 403 and "somebody else now" in answer.text
    identities = site.home.house.catalog.identities
    assert identities.list("ada") == identities.list("bob") == []


def test_a_lost_token_is_no_way_to_stay(site):
    site.sign_in()
    token = site.home.house.catalog.tokens.create("grace", "lost", site.home.ada.scope)
    site.home.sign_in(token)
    new = {"new": "a sentence nobody knows", "again": "a sentence nobody knows"}
    assert site.home.post("/settings/account/password", new).status_code == 403
    assert site.browser.get(_link(site), headers=OURS, follow_redirects=False).status_code == 403
    fields = {"issuer": site.provider.issuer, "subject": "u-1"}
    assert site.home.post("/settings/account/unlink", fields).status_code == 403


def test_the_last_way_to_sign_in_stays(site):
    site.sign_in()
    fields = {"issuer": site.provider.issuer, "subject": "u-1"}
    assert site.home.post("/settings/account/unlink", fields).status_code == 403
    assert len(site.home.house.catalog.identities.list("grace")) == 1


def test_a_hub_without_a_provider_says_so(tmp_path):
    with open_home(tmp_path) as home:
        for path in ("/login/oidc", CALLBACK):
            answer = home.client.get(path, headers=HTML, follow_redirects=False)
            assert answer.status_code in (401, 404)
        assert "oidc" not in home.page("/login")


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"oidc_issuer": "https://id.example"}, RequestError),
        ({"oidc_issuer": "http://id.example", "oidc_client_id": "c"}, RequestError),
        (
            {
                "oidc_issuer": "https://id.example",
                "oidc_client_id": "c",
                "oidc_client_secret_file": "/nonexistent/secret",
            },
            UnavailableError,
        ),
    ],
)
def test_settings_that_cannot_work_stop_the_start(tmp_path, settings, error):
    with open_home(tmp_path) as home, pytest.raises(error):
        create_app(home.house, Settings(data_dir=tmp_path, secret=HUB_SECRET, **settings))
