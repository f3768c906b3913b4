"""Paths as they come over the wire, hosts, and the layers around every route."""

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Match

from cairn.errors import RequestError
from cairn.hub.routing import RawRoute, decode_segment, repo_routes


async def echo(request: Request) -> JSONResponse:
    return JSONResponse(request.path_params)


def params(route: RawRoute, raw: str, method: str = "GET") -> dict | None:
    scope = {"type": "http", "method": method, "raw_path": raw.encode(), "path": raw}
    match, child = route.matches(scope)
    return child["raw_params"] if match is Match.FULL else None


def test_an_encoded_slash_stays_inside_its_segment():
    route = RawRoute("/tree/{revision}/{path:path}", echo)
    found = params(route, "/tree/refs%2Fpr%2F1/a%2Fb/c")
    assert found == {"revision": "refs%2Fpr%2F1", "path": "a%2Fb/c"}
    assert decode_segment(found["revision"]) == "refs/pr/1"


@pytest.mark.parametrize("raw", ["/tree//x", "/tree/main", "/tree/main/", "/x/tree/main/y"])
def test_empty_segments_and_other_paths_do_not_match(raw):
    assert params(RawRoute("/tree/{revision}/{path:path}", echo), raw) is None


def test_a_dataset_is_not_taken_for_a_model_named_datasets():
    routes = repo_routes("/resolve/{revision}/{path:path}", echo)
    raw = "/datasets/a/b/resolve/main/f"
    first = next(r for r in routes if params(r, raw) is not None)
    assert params(first, raw)["namespace"] == "a"


def test_words_in_a_template_are_the_only_ones_taken():
    route = RawRoute("/api/{kind:models|datasets}/{name}", echo)
    assert params(route, "/api/models/x") == {"kind": "models", "name": "x"}
    assert params(route, "/api/model/x") is None


def test_a_segment_that_is_no_utf8_is_refused():
    with pytest.raises(RequestError, match="UTF-8"):
        decode_segment("%ff%fe")


def test_over_http_bad_encoding_is_400_and_a_wrong_method_405(repo):
    answer = repo.client.get("/api/models/ann/m/tree/%ff")
    assert answer.status_code == 400 and answer.headers["x-error-code"] == "BadRequest"
    answer = repo.client.delete("/api/models/ann/m/tree/main")
    assert answer.status_code == 405 and answer.headers["allow"] == "GET"
    assert answer.json()["error"]


def test_every_response_carries_a_request_id_and_security_headers(ann):
    answer = ann.get("/api/models", headers={"X-Request-Id": "mine-1"})
    assert answer.headers["x-request-id"] == "mine-1"
    assert answer.headers["x-content-type-options"] == "nosniff"
    odd = ann.get("/api/models", headers={"X-Request-Id": "a b\t<script>"})
    assert odd.headers["x-request-id"] != "a b\t<script>" and len(odd.headers["x-request-id"]) == 32


def test_an_unexpected_error_tells_only_its_request_id(hub, monkeypatch, capsys):
    client = hub.client("ann")
    monkeypatch.setattr(type(hub.house.catalog.repos), "search", lambda *a: 1 / 0)
    answer = client.get("/api/models", headers={"X-Request-Id": "boom-1"})
    assert answer.status_code == 500 and answer.headers["x-error-code"] == "Internal"
    assert "boom-1" in answer.text and "ZeroDivision" not in answer.text


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "localhost:x", ""])
def test_a_host_nobody_configured_is_turned_away(ann, host):
    answer = ann.get("/api/models", headers={"Host": host})
    assert answer.status_code == 400 and "CAIRN_ALLOWED_HOSTS" in answer.json()["error"]


@pytest.mark.parametrize(
    ("host", "status"),
    [("hub.example.org", 200), ("HUB.example.org:443", 200), ("localhost", 200),
     ("10.0.0.7:8400", 400), ("evil.example", 400)],
)  # fmt: skip
def test_a_public_url_names_the_host_that_is_answered(hub, host, status):
    client = hub.client("ann", public_url="https://hub.example.org")
    assert client.get("/api/whoami-v2", headers={"Host": host}).status_code == status
    assert client.get("/api/cairn/health", headers={"Host": host}).status_code == 200, "probes"


@pytest.mark.parametrize("host", ["localhost:9", "127.0.0.1", "LOCALHOST", "[::1]:8400"])
def test_configured_hosts_are_answered_and_used_in_urls(ann, host):
    answer = ann.post("/api/repos/create", json={"name": "h"}, headers={"Host": host})
    assert answer.json()["url"] == f"http://{host}/ann/h"


def test_a_public_url_with_a_path_is_used_in_urls_and_stripped_from_requests(hub):
    client = hub.client("ann", public_url="https://hub.example.org/hf/")
    for prefix in ("/hf", ""):
        answer = client.get(f"{prefix}/api/whoami-v2", headers={"Host": "hub.example.org"})
        assert answer.json()["name"] == "ann"
    made = client.post("/hf/api/repos/create", json={"name": "m"}).json()
    assert made["url"] == "https://hub.example.org/hf/ann/m"
    assert client.get("/hf/ann/m/resolve/refs%2Fheads%2Fmain/.gitattributes").status_code == 200
