"""Our own JSON, as a caller sees it and as its OpenAPI description promises it."""

import json

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    response_schema_conformance,
    status_code_conformance,
)

from cairn.workflows.inspect import inspect_repo
from cairn.workflows.inspection import describe
from tests.hub.web.homes import Home, open_home, safetensors

TENSORS = safetensors(
    {
        "encoder.layer.0.weight": ("F32", (2, 3), b"\1" * 24),
        "encoder.layer.1.weight": ("F32", (2, 3), b"\0" * 24),
        "head.bias": ("BF16", (4,), b"\0" * 8),
    }
)
BASE = "/api/cairn"
OF_A_REPO = (
    "inspect/{rev}",
    "health/{rev}",
    "weights/{rev}",
    "compare/{revisions}",
    "sizes/{rev}",
    "log/{rev}",
    "digests/{rev}",
)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with open_home(tmp_path_factory.mktemp("api")) as opened:
        repo = opened.repo(
            "ada/model",
            {
                "README.md": b"# x\n",
                "config.json": json.dumps({"model_type": "bert"}).encode(),
                "model.safetensors": TENSORS,
            },
        )
        record = opened.house.catalog.repos.get(repo)
        head = opened.house.catalog.history.resolve(record.uid, "main")
        opened.house.catalog.history.create_ref(record.uid, "refs/heads/fix/one", head.id)
        opened.repo("ada/secret", {"x": b"1"}, private=True)
        yield opened


def _get(home: Home, path: str, status: int = 200, token: str | None = None):
    headers = {"authorization": f"Bearer {token}"} if token else {}
    answer = home.client.get(f"{BASE}{path}", headers=headers)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_health_says_the_version(home):
    from cairn import __version__

    assert _get(home, "/health") == {"status": "ok", "version": __version__, "stalled": []}


def test_the_store_counts_what_it_holds(home):
    found = _get(home, "/store")
    assert found["blobs"] >= 4
    assert found["logical_bytes"] > 0
    assert found["pending"] <= found["blobs"]
    assert set(found) == {
        *(
            "optimizing",
            "pending_bytes",
            "pending",
            "blobs",
            "logical_bytes",
            "stored_bytes",
            "raw_blobs",
            "fast_blobs",
            "packs",
            "parts",
            "damaged",
            "damaged_blobs",
            "background",
            "reading",
            "verify_every_s",
        ),
        "by_codec",
    }
    assert (found["damaged"], found["damaged_blobs"], found["reading"]) == (0, None, None)


def test_inspect_says_what_the_command_says(home):
    from cairn.domain import RepoId, RepoType

    found = _get(home, "/models/ada/model/inspect/main")
    repo = RepoId.parse(RepoType.MODEL, "ada/model")
    expected = describe(inspect_repo(home.house, home.ada, repo, "main"))
    for key in expected.keys() - {"name"}:
        assert found[key] == expected[key], key
    assert found["name"] == "ada/model"
    assert found["matching"] == 3
    assert len(found["commit"]) == 40


def test_tensors_come_filtered_and_in_pages(home):
    names = []
    for offset in range(0, 4, 2):
        page = _get(home, f"/models/ada/model/inspect/main?limit=2&offset={offset}")
        names += [tensor["name"] for tensor in page["tensors"]]
    assert names == ["encoder.layer.0.weight", "encoder.layer.1.weight", "head.bias"]
    chosen = _get(home, "/models/ada/model/inspect/main?filter=layer.1")
    assert [tensor["name"] for tensor in chosen["tensors"]] == ["encoder.layer.1.weight"]
    assert _get(home, "/models/ada/model/inspect/main?limit=0")["tensors"] == []


def test_sizes_add_up(home):
    found = _get(home, "/models/ada/model/sizes/main")
    assert [file["path"] for file in found["files"]] == sorted(f["path"] for f in found["files"])
    assert sum(file["logical_bytes"] for file in found["files"]) == found["logical_bytes"]
    assert found["file_count"] == len(found["files"]) == 4
    assert 0 < found["stored_bytes"] <= sum(file["stored_bytes"] for file in found["files"])


@pytest.mark.parametrize("what", ["inspect", "sizes"])
@pytest.mark.parametrize("rev", ["fix/one", "fix%2Fone", "refs%2Fheads%2Ffix%2Fone"])
def test_a_revision_with_slashes_is_found_quoted_or_not(home, what, rev):
    assert len(_get(home, f"/models/ada/model/{what}/{rev}")["commit"]) == 40


@pytest.mark.parametrize("what", ["inspect", "sizes"])
def test_a_private_repo_is_for_its_owner(home, what):
    path = f"/models/ada/secret/{what}/main"
    assert "does not exist, or you may not see it" in _get(home, path, 401)["error"]
    _get(home, path, 404, home.stranger_token)
    _get(home, path, 200, home.token)


@pytest.mark.parametrize("what", ["inspect", "sizes"])
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/models/ada/model/{}/nope", 404),
        ("/models/ada/model/{}/%00", 404),
        ("/models/ada/model/{}/..", 404),
        ("/models/ada/model/{}/main?limit=-1", 422),
        ("/models/ada/model/{}/main?limit=999999", 422),
        ("/models/ada/model/{}/main?offset=x", 422),
        ("/datasets/ada/model/{}/main", 404),
        ("/models/a..b/model/{}/main", 404),
        ("/kernels/ada/model/{}/main", 422),
    ],
)
def test_what_makes_no_sense_or_is_not_there_says_so(home, what, path, status):
    if path.endswith("/.."):
        path = path.replace("/..", "/%2E%2E")
    found = _get(home, path.format(what), status, home.token)
    assert isinstance(found["error"], str)
    assert found["error"]


def test_a_bad_token_is_refused(home):
    _get(home, "/models/ada/model/sizes/main", 401, "cairn_nobody")
    _get(home, "/store", 401, "cairn_nobody")


def test_nothing_of_the_description_comes_from_elsewhere(home):
    page = home.page("/api/cairn/docs")
    assert "/api/cairn/{<wbr>" in page or "/inspect/" in page.replace("<wbr>", "")
    assert "cdn" not in page
    assert home.client.get("/docs").status_code == 404


BOUNDED = settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
CHECKED = [not_a_server_error, status_code_conformance, response_schema_conformance]
ATTACHED = ("signatures/{rev}", "provenance/{rev}", "bundle/{sha256}/{rev}")
SCANNED = ("security/{rev}", "sarif/{rev}", "scan-policy", "appeals")
ESTIMATED = ("estimate/{rev}",)
TRAINED = ("training/{rev}",)
OF_ANY_REPO = (*OF_A_REPO, *ATTACHED, *SCANNED, *ESTIMATED, *TRAINED)
REPO_PATHS = tuple(f"/{{kind}}/{{namespace}}/{{name}}/{verb}" for verb in OF_ANY_REPO)
DECIDED_PATHS = (
    *("/waivers", "/waivers/{number}/revoke"),
    *("/appeals", "/appeals/{number}/answer"),
)
LOG_PATHS = ("/log/checkpoint", "/log/key", "/log/keys", "/log/witnessed", "/log/tile/{path}")
SCAN_PATHS = ("/rescans", "/scan-policy", "/recalls", "/recalls/{sha256}", "/advisories")
TOLD_PATHS = ("/notifications", "/notifications/read")
PATHS = ("/health", "/devices", "/store", "/store/pause", *LOG_PATHS, *SCAN_PATHS, *TOLD_PATHS)
PATHS += (*DECIDED_PATHS, *REPO_PATHS)


@pytest.fixture(scope="module")
def operations(home):
    schema = schemathesis.openapi.from_asgi(f"{BASE}/openapi.json", home.app)
    found = [result.ok() for result in schema.get_all_operations()]
    return {operation.path.removeprefix(BASE): operation for operation in found}


def test_every_endpoint_is_described_and_tried(operations):
    assert set(operations) == set(PATHS)


@pytest.mark.parametrize("path", PATHS)
def test_hostile_requests_get_the_documented_answers(operations, path):
    @BOUNDED
    @given(case=operations[path].as_strategy())
    def attempt(case):
        case.call_and_validate(headers={"host": "testserver"}, checks=CHECKED)

    attempt()


@pytest.mark.parametrize("verb", OF_A_REPO)
def test_hostile_queries_on_a_real_repo_get_the_documented_answers(operations, verb):
    @BOUNDED
    @given(case=operations[f"/{{kind}}/{{namespace}}/{{name}}/{verb}"].as_strategy())
    def attempt(case):
        case.path_parameters.update(kind="models", namespace="ada", name="model")
        which = {"revisions": "main...main"} if "compare" in verb else {"rev": "main"}
        case.path_parameters.update(which)
        answer = case.call(headers={"host": "testserver"})
        # Nobody may see the other, or it is not there.
        names_another = bool(case.query.get("before_repo") or case.query.get("base"))
        assert answer.status_code in ((401, 404, 422) if names_another else (200, 422))
        case.validate_response(answer, checks=CHECKED)

    attempt()
