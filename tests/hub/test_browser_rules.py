"""What browsers are told: on every kind of answer, and stricter on pages and files."""

from collections.abc import Iterator

import pytest

from cairn.hub.browser_rules import PAGE_POLICY, SANDBOX_POLICY
from tests.hub.conftest import Hub, Repo, copy_of

HTML = {"accept": "text/html"}
EVERYWHERE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
}


NAMES = ("page.html", "pic.svg", "paper.pdf", "notes.txt", "pic.png", "code.js")


@pytest.fixture(scope="module")
def filled(prepared: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repo]:
    """A repo that all tests here only read."""
    with copy_of(prepared, tmp_path_factory.mktemp("filled") / "data") as hub:
        repo = Repo(hub.client("ann")).create()
        large = repo.large("big.bin", repo.put_large(b"weights"))
        files = [repo.file(name, b"<script>alert(1)</script>") for name in NAMES]
        assert repo.commit(*files, large).status_code == 200
        yield repo


@pytest.mark.parametrize(
    ("path", "policy"),
    [
        ("/", PAGE_POLICY),
        ("/ann/m", PAGE_POLICY),
        ("/login", PAGE_POLICY),
        ("/nobody/nothing", PAGE_POLICY),
        ("/api/models", SANDBOX_POLICY),
        ("/api/models/ann/missing", SANDBOX_POLICY),
        ("/api/cairn/openapi.json", SANDBOX_POLICY),
        ("/api/cairn/log/checkpoint", SANDBOX_POLICY),
        ("/favicon.ico", SANDBOX_POLICY),
        ("/robots.txt", SANDBOX_POLICY),
        ("/ann/m/resolve/main/page.html", SANDBOX_POLICY),
        ("/ann/m/resolve/main/pic.svg", SANDBOX_POLICY),
        ("/ann/m/raw/main/notes.txt", SANDBOX_POLICY),
        ("/ann/m/raw/main/big.bin", SANDBOX_POLICY),
        ("/ann/m/compare", SANDBOX_POLICY),
    ],
)
def test_every_answer_says_what_browsers_may_do(filled: Repo, path: str, policy: str) -> None:
    for method in ("GET", "HEAD"):
        answer = filled.client.request(method, path, headers=HTML)
        if answer.status_code == 405:
            continue
        assert answer.headers["content-security-policy"] == policy
        assert "camera=()" in answer.headers["permissions-policy"]
        assert EVERYWHERE.items() <= dict(answer.headers).items()
        assert "access-control-allow-origin" not in answer.headers
        assert "strict-transport-security" not in answer.headers
        assert "cache-control" in answer.headers


@pytest.mark.parametrize("policy", [PAGE_POLICY, SANDBOX_POLICY])
def test_no_policy_lets_anything_inline_or_foreign_in(policy: str) -> None:
    rules = dict(one.strip().partition(" ")[::2] for one in policy.split(";"))
    assert rules["default-src"] == rules["frame-ancestors"] == rules["base-uri"] == "'none'"
    assert "unsafe" not in policy and "*" not in policy and "http" not in policy
    assert "data:" not in policy and "allow-" not in policy


def test_templates_hold_nothing_inline() -> None:
    from importlib.resources import files
    from re import findall

    for template in (files("cairn.hub.web") / "templates").iterdir():
        text = template.read_text()
        assert findall(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=", text) == [], template


@pytest.mark.parametrize(
    ("name", "kind", "media_type"),
    [
        ("page.html", "attachment", "application/octet-stream"),
        ("pic.svg", "attachment", "application/octet-stream"),
        ("paper.pdf", "attachment", "application/octet-stream"),
        ("code.js", "inline", "application/octet-stream"),
        ("notes.txt", "inline", "text/plain; charset=utf-8"),
        ("pic.png", "inline", "image/png"),
    ],
)
@pytest.mark.parametrize("route", ["resolve", "raw"])
def test_files_are_not_what_a_browser_would_run(
    filled: Repo, name: str, kind: str, media_type: str, route: str
) -> None:
    headers = filled.client.get(f"/ann/m/{route}/main/{name}").headers
    assert headers["content-disposition"].partition(";")[0] == kind
    assert headers["content-type"] == media_type


@pytest.mark.parametrize(
    ("public_url", "told"),
    [("https://localhost", "max-age=31536000"), ("http://localhost", None), (None, None)],
)
def test_only_hubs_reached_over_https_ask_for_it(
    hub: Hub, public_url: str | None, told: str | None
) -> None:
    answer = hub.client(public_url=public_url).get("/")
    assert answer.headers.get("strict-transport-security") == told


@pytest.mark.parametrize("injected", ["%0d%0aSet-Cookie:%20a=b", "%0aX-Evil:1", "%00", "é"])
@pytest.mark.parametrize(
    "path",
    [
        "/ann/{}",
        "/{}",
        "/ann/m/resolve/main/{}",
        "/ann/m/tree/{}",
        "/ann/m/compare?before_id={}",
        "/ann/m/compare/{}...main",
        "/login?next=/{}",
        "/api/models/ann/m/tree/main?cursor={}",
        "/api/models?search={}",
    ],
)
def test_nothing_asked_for_becomes_a_header_line(filled: Repo, path: str, injected: str) -> None:
    answer = filled.client.get(path.format(injected), headers=HTML)
    assert answer.status_code < 500
    assert "set-cookie" not in answer.headers or "a=b" not in answer.headers["set-cookie"]
    assert "x-evil" not in answer.headers
    for name, value in answer.headers.items():
        assert value.isascii() and value.isprintable(), (name, value)


@pytest.mark.parametrize("path", ["../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/x"])
@pytest.mark.parametrize(
    "route",
    ["/ann/m/resolve/main/{}", "/ann/m/tree/main/{}", "/static/x/{}", "/api/cairn/log/tile/{}"],
)
def test_no_path_leads_out(filled: Repo, route: str, path: str) -> None:
    answer = filled.client.get(route.format(path))
    assert answer.status_code in (400, 404)
    assert "root:" not in answer.text


@pytest.mark.parametrize("depth", [60, 65, 900, 100_000])
def test_json_that_is_nested_too_deeply_is_refused(ann, depth: int) -> None:
    body = '{"name": "deep", "x": ' + "[" * (depth - 1) + "]" * (depth - 1) + "}"
    answer = ann.post("/api/repos/create", content=body)
    if depth < 64:
        assert answer.status_code == 200
    else:
        assert (answer.status_code, answer.json()["error"]) == (
            400, "request body: JSON nested too deeply",
        )  # fmt: skip
    wide = '{"name": "wide", "x": [' + ",".join(["[]"] * 1000) + "]}"
    assert ann.post("/api/repos/create", content=wide).status_code == 200


@pytest.mark.parametrize(
    "path", ["/login", "/logout", "/settings/tokens", "/settings/tokens/revoke"]
)
def test_a_form_too_large_is_refused_before_it_is_read(ann, path: str) -> None:
    answer = ann.post(path, data={"name": "x" * 20_000})
    assert answer.status_code == 413
    fields = ann.post(path, data={f"f{n}": "" for n in range(60)})
    assert fields.status_code == 400
