"""Input that is well-formed and absurd: it gets an error that says so, never a 500."""

import asyncio
import hashlib
import time

import pytest

from cairn.domain import Actor, RepoId, RepoType, Scope
from cairn.errors import ConflictError
from cairn.hub.xet.state import SHARDS_AT_ONCE
from cairn.workflows.commit import Message, commit, put_regular
from cairn.workflows.maintain import collect_garbage

LONE = "\\ud800"  # half of a surrogate pair, as JSON may spell it: no text that UTF-8 could hold


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/api/models/ann/m/tag/main", f'{{"tag": "{LONE}"}}', 400),
        ("POST", "/api/models/ann/m/branch/x", f'{{"startingPoint": "{LONE}"}}', 404),
        ("POST", "/api/repos/create", f'{{"name": "n", "type": "space", "sdk": "{LONE}"}}', 400),
        (
            "POST",
            "/api/models/ann/m/preupload/main",
            f'{{"files": [{{"path": "{LONE}", "size": 1}}]}}',
            400,
        ),
        (
            "POST",
            "/api/models/ann/m/preupload/main",
            '{"files": [{"path": "a/../b", "size": 1}]}',
            400,
        ),
    ],
)
def test_text_that_is_no_unicode_is_refused(repo, method, path, body, status):
    answer = repo.client.request(method, path, content=body)
    assert answer.status_code == status, answer.text
    assert "error" in answer.json()


def test_an_lfs_object_whose_name_is_no_unicode_is_one_error_of_the_batch(repo):
    good = hashlib.sha256(b"x").hexdigest()
    objects = f'[{{"oid": "{LONE}", "size": 1}}, {{"oid": "{good}", "size": 1}}]'
    answer = repo.client.post(
        f"{repo.files}.git/info/lfs/objects/batch",
        content=f'{{"operation": "upload", "objects": {objects}}}',
    )
    bad, fine = answer.json()["objects"]
    assert bad["error"]["code"] == 422 and "actions" in fine


@pytest.mark.parametrize("sdk", [LONE, "a\\u0000b", "s" * 100_000])
def test_only_spaces_have_an_sdk(hub, ann, sdk):
    answer = ann.post("/api/repos/create", content=f'{{"name": "n", "sdk": "{sdk}"}}')
    assert answer.status_code == 200
    assert hub.house.catalog.repos.get(RepoId(RepoType.MODEL, "ann", "n")).sdk is None


def test_filters_beyond_reason_are_the_callers_mistake(hub):
    nobody = hub.client()
    assert nobody.get("/api/models?filter=" + ",".join(map(str, range(3000)))).status_code == 400
    assert nobody.get("/api/models?filter=" + ",".join(map(str, range(100)))).status_code == 200


@pytest.mark.parametrize("name", ["ann/m%20", "a%2Fb/c", "ann/--"])
@pytest.mark.parametrize("kind", ["xet-read-token", "xet-write-token"])
def test_a_repo_that_cannot_be_is_not_found_for_xet_either(ann, name, kind):
    answer = ann.get(f"/api/models/{name}/{kind}/main")
    assert (answer.status_code, answer.headers["x-error-code"]) == (404, "RepoNotFound")


def test_a_commit_does_not_name_bytes_that_gc_removed_while_it_came_in(hub, repo):
    house = hub.house
    account = house.catalog.accounts.get("ann")
    ann = Actor(account, Scope.WRITE, "all", {})
    repo_id = RepoId(RepoType.MODEL, "ann", "m")
    changes = [put_regular(house, "a.txt", b"sent before gc ran")]
    time.sleep(0.05)
    assert collect_garbage(house, 0).blobs == 1
    with pytest.raises(ConflictError, match="gc"):
        commit(house, ann, repo_id, "main", changes, Message("late"))
    changes = [put_regular(house, "a.txt", b"sent before gc ran")]
    commit(house, ann, repo_id, "main", changes, Message("again"))
    assert repo.through(hub.client()).client.get(f"{repo.files}/resolve/main/a.txt").text


def test_shards_that_come_slowly_keep_nobody_else_from_sending_one(hub, repo):
    client = repo.client
    grant = client.get(f"{repo.api}/xet-write-token/main").json()
    path = grant["casUrl"].removeprefix("http://localhost")
    headers = [
        (b"host", b"localhost"),
        (b"authorization", f"Bearer {grant['accessToken']}".encode()),
        (b"content-length", b"48"),
    ]

    async def send_shard(version: str, more: asyncio.Event) -> int:
        """A shard whose body ends when `more` is set; the status it is answered with."""
        url = f"{path}/{version}/shards"
        scope = {
            "type": "http", "http_version": "1.1", "method": "POST", "scheme": "http",
            "path": url, "raw_path": url.encode(), "query_string": b"", "headers": headers,
        }  # fmt: skip
        bodies = iter([(b"x" * 24, True), (b"x" * 24, False)])
        statuses: list[int] = []

        async def receive() -> dict:
            body, is_first = next(bodies)
            if not is_first:
                await more.wait()
            return {"type": "http.request", "body": body, "more_body": is_first}

        async def send(message: dict) -> None:
            statuses.extend([message["status"]] if "status" in message else [])

        await client.app(scope, receive, send)
        return statuses[0]

    async def crowd() -> int:
        never, now = asyncio.Event(), asyncio.Event()
        slow = [
            asyncio.create_task(send_shard(version, never))
            for version in ("v1", "v2")
            for _ in range(SHARDS_AT_ONCE)
        ]
        await asyncio.sleep(0.2)
        now.set()
        try:
            return await asyncio.wait_for(send_shard("v1", now), timeout=10)
        finally:
            never.set()
            await asyncio.gather(*slow, return_exceptions=True)

    assert asyncio.run(crowd()) == 400  # it is no shard; that it was looked at is what counts


@pytest.mark.parametrize(
    ("content", "config"),
    [
        (
            b'{"model_type": "\\ud800", "architectures": [NaN]}',
            {"model_type": "?", "architectures": [None]},
        ),
        (b'{"\\ud800": 1, "auto_map": {"\\udfff": 1}}', {"auto_map": {"?": 1}}),
        (b'{"model_type": "x", "auto_map": %s1%s}' % (b"[" * 900, b"]" * 900), {"model_type": "x"}),
    ],
)
def test_a_config_that_json_cannot_hold_breaks_no_listing(hub, repo, content, config):
    repo.put("config.json", content)
    nobody = hub.client()
    assert nobody.get(repo.api).json()["config"] == config
    assert [one["config"] for one in nobody.get("/api/models?config=true").json()] == [config]


@pytest.mark.parametrize(
    "value", [b"Basic \xff\xfe", b"Basic a", b"Basic /w==", b"Bearer \xff", b"\xff"]
)
def test_credentials_that_are_no_text_are_not_valid(hub, value):
    answer = hub.client().get("/api/models", headers={b"authorization": value})
    assert answer.status_code == 401, answer.text
