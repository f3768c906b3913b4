"""Signing in by a provider that others wrote: node-oidc-provider, installed for the test.

Only with `--all` or `-m slow`; skipped where npm or its registry is not to be had.
"""

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.hub.web.homes import HTML, OURS, Home, open_home

PACKAGE = "oidc-provider@9.13.3"
SECRET = "s+cret/with:odd%characters"
CALLBACK = "/login/oidc/callback"
HUB = "http://testserver"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("node")
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed: no OpenID provider of others to test with")
    line = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", PACKAGE]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=300)
    if done.returncode:
        pytest.skip(f"npm cannot install {PACKAGE} here: {done.stderr.strip()[-200:]}")
    program = Path(__file__).with_name("node_provider.mjs").read_text()
    (folder / "provider.mjs").write_text(program)
    return folder


@pytest.fixture(scope="module")
def issuer(installed: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    line = ["node", "provider.mjs", str(port), f"{HUB}{CALLBACK}", SECRET]
    process = subprocess.Popen(
        line, cwd=installed, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    try:
        while (said := process.stdout.readline()) and "ready" not in said:
            pass
        assert said, "the provider ended before it answered"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def home(tmp_path: Path, issuer: str) -> Iterator[Home]:
    secret = tmp_path / "client-secret"
    secret.write_text(f"{SECRET}\n")
    settings = {
        "oidc_issuer": issuer,
        "oidc_client_id": "cairn",
        "oidc_client_secret_file": secret,
    }
    with open_home(tmp_path / "data", **settings) as opened:
        yield opened


def at_provider(url: str, name: str) -> str:
    """Sign in and consent there as a browser does; the address it is sent back to."""
    with httpx.Client(timeout=30) as browser:
        answer = browser.get(url)
        for _ in range(20):
            if answer.is_redirect:
                to = str(httpx.URL(str(answer.url)).join(answer.headers["location"]))
                if to.startswith(HUB):
                    return to.removeprefix(HUB)
                answer = browser.get(to)
                continue
            assert answer.status_code == 200, answer.text[:500]
            found = re.search(r'action="([^"]+)"', answer.text)
            assert found, answer.text[:500]
            prompt = re.search(r'name="prompt" value="(\w+)"', answer.text)
            form = {"prompt": prompt.group(1) if prompt else "login"}
            if form["prompt"] == "login":
                form |= {"login": name, "password": "any"}
            answer = browser.post(found.group(1), data=form)
    raise AssertionError(f"no way back from {answer.url}")


def sign_in(home: Home, name: str) -> httpx.Response:
    leaves = home.client.get("/login/oidc?next=/ada", headers=OURS, follow_redirects=False)
    assert leaves.status_code == 303, leaves.text
    back = at_provider(leaves.headers["location"], name)
    return home.client.get(back, headers=HTML, follow_redirects=False)


def test_somebody_signs_in_by_a_provider_that_others_wrote(home: Home) -> None:
    answer = sign_in(home, "grace")
    assert (answer.status_code, answer.headers["location"]) == (303, "/ada"), answer.text
    account = home.house.catalog.accounts.get("grace")
    assert (account.full_name, account.is_admin) == ("grace H.", False)
    (session,) = home.house.catalog.sessions.list("grace")
    assert session.way == "oidc"
    assert "<summary>grace" in home.client.get("/", headers=HTML).text
    home.client.cookies.clear()
    assert sign_in(home, "grace").status_code == 303
    assert len(home.house.catalog.sessions.list("grace")) == 2


def test_a_name_that_is_taken_here_is_not_taken_over(home: Home) -> None:
    answer = sign_in(home, "ada")
    assert answer.status_code == 403 and "is taken here" in answer.text


def test_an_answer_is_good_once(home: Home) -> None:
    leaves = home.client.get("/login/oidc", headers=OURS, follow_redirects=False)
    back = at_provider(leaves.headers["location"], "linus")
    assert home.client.get(back, headers=HTML, follow_redirects=False).status_code == 303
    assert home.client.get(back, headers=HTML, follow_redirects=False).status_code == 401
