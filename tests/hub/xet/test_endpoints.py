"""Each lie and each wrong turn gets its documented 4xx, and nothing is kept of it."""

import json
import random
import socket
import time
from urllib.parse import urlsplit

import cramjam
import pytest

from cairn.domain import RepoId, RepoType
from cairn.hub.xet import scopes, tokens, xorb
from tests.hub.xet.builders import File, Xorb, chunk_header, shard_of
from tests.hub.xet.builders import shard as make_shard

RNG = random.Random(30)


def fresh() -> Xorb:
    return Xorb([RNG.randbytes(2000), RNG.randbytes(3000)])


def send(hub, grant, made: Xorb, name: str | None = None):
    return hub.cas(grant, f"/v1/xorbs/default/{name or made.text}", made.body)


def events(answer) -> list[dict]:
    return [json.loads(line) for line in answer.text.splitlines()]


def test_tokens_come_as_json_and_as_headers(hub):
    answer = hub.http("/api/models/ann/one/xet-write-token/main", "ann")
    body = answer.json()
    assert body["casUrl"].startswith(f"{hub.url}/cas/e")
    assert answer.headers["x-xet-cas-url"] == body["casUrl"]
    assert answer.headers["x-xet-access-token"] == body["accessToken"]
    assert int(answer.headers["x-xet-token-expiration"]) == body["exp"] > time.time() + 600
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "revision", ["None", "refs%2Fpr%2F1", "no-such-branch", "main?create_pr=1"]
)
def test_tokens_do_not_depend_on_the_revision(hub, revision):
    assert hub.http(f"/api/models/ann/one/xet-write-token/{revision}", "ann").status_code == 200


@pytest.mark.parametrize(
    ("path", "who", "status", "code"),
    [
        ("ann/one/xet-write-token", None, 401, "Unauthenticated"),
        ("ann/one/xet-write-token", "bob", 403, "Forbidden"),
        ("ann/one/xet-write-token", "ann-reader", 403, "Forbidden"),
        ("ann/two/xet-write-token", "bob", 404, "RepoNotFound"),
        ("ann/two/xet-read-token", "bob", 404, "RepoNotFound"),
        ("ann/two/xet-read-token", None, 401, "RepoNotFound"),
        ("ann/none/xet-write-token", "ann", 404, "RepoNotFound"),
    ],
)
def test_tokens_are_for_those_who_may(hub, path, who, status, code):
    answer = hub.http(f"/api/models/{path}/main", who)
    assert (answer.status_code, answer.headers["x-error-code"]) == (status, code)


def test_a_public_repo_may_be_read_by_anyone(hub):
    assert hub.http("/api/models/ann/one/xet-read-token/main").status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/xorb-grants/default/" + "0" * 64),
        ("POST", "/v1/xorb-commits/default/" + "0" * 64 + "/grant/1"),
        ("GET", "/v1/chunks/other/" + "0" * 64),
        ("POST", "/v1/chunks/default/" + "0" * 64),
        ("GET", "/v2/reconstructions/" + "0" * 64),
        ("GET", "/v1/reconstructions?file_id=" + "0" * 64),
        ("HEAD", "/v1/xorbs/default/" + "0" * 64),
        ("HEAD", "/v1/files/" + "0" * 64),
        ("GET", "/v2/file-chunk-hashes/" + "0" * 64),
        ("GET", "/v1/shards"),
        ("DELETE", "/v1/shards"),
        ("PUT", "/v1/xorbs/default/" + "0" * 64),
        ("POST", "/v1/xorbs/other/" + "0" * 64),
        ("POST", "/v3/shards"),
        ("GET", "/"),
    ],
)
def test_what_is_not_implemented_is_not_found(hub, method, path):
    answer = hub.cas(hub.connect(), path, method=method)
    assert answer.status_code == 404
    if method != "HEAD":
        assert "no such Xet endpoint" in answer.json()["error"]


def test_telemetry_is_not_found_at_the_root(hub):
    assert hub.http("/v1/telemetry", method="POST", json={}).status_code == 404


def test_a_xorb_is_taken_once(hub):
    grant, made = hub.connect(), fresh()
    assert send(hub, grant, made).json() == {"was_inserted": True}
    assert send(hub, grant, made).json() == {"was_inserted": False}


@pytest.mark.parametrize("path", ["/v1/shards", "/v1/xorbs/default/" + "0" * 64, "/v2/shards"])
@pytest.mark.parametrize(
    ("header", "status"),
    [
        (None, 401),
        ("Bearer", 401),
        ("Bearer nonsense", 401),
        ("Bearer a.b", 401),
        ("Basic abc", 401),
    ],
)
def test_writing_needs_a_token_of_ours(hub, path, header, status):
    url = hub.connect()["casUrl"] + path
    headers = {"Authorization": header} if header else {}
    answer = hub.http(url, method="POST", content=b"", headers=headers)
    assert answer.status_code == status


def test_a_token_that_has_expired_is_refused(hub, monkeypatch):
    monkeypatch.setattr(tokens, "TOKEN_TTL_S", -1)
    answer = hub.cas(hub.connect(), "/v1/shards", b"")
    assert answer.status_code == 401
    assert "expired" in answer.json()["error"]


def test_a_read_token_does_not_write(hub):
    answer = hub.cas(hub.connect(kind="read"), "/v1/shards", b"")
    assert answer.status_code == 403
    assert "write token" in answer.json()["error"]


def test_a_token_opens_no_other_repo(hub):
    mine, theirs = hub.connect("ann/one"), hub.connect("bob/one", who="bob")
    mixed = {"casUrl": theirs["casUrl"], "accessToken": mine["accessToken"]}
    assert send(hub, mixed, fresh()).status_code == 403


def segment_of(grant: dict) -> tuple[str, int, str]:
    base, _, segment = grant["casUrl"].rpartition("/")
    epoch, _, rest = segment.partition("-")
    return base, int(epoch[1:]), rest


@pytest.mark.parametrize(("epochs", "status"), [(-2, 403), (-1, 200), (0, 200), (1, 200), (2, 403)])
def test_a_scope_is_served_in_its_epoch_and_the_next(hub, epochs, status):
    grant = hub.connect()
    base, epoch, rest = segment_of(grant)
    moved = {**grant, "casUrl": f"{base}/e{epoch + epochs}-{rest}"}
    assert send(hub, moved, fresh()).status_code == status


def test_a_token_refreshed_after_an_epoch_serves_the_upload_begun_before(hub):
    """The client keeps its first casUrl and takes only the token from a refresh."""
    begun, made = hub.connect(), fresh()
    assert send(hub, begun, made).status_code == 200
    hub.clock.ahead_s = hub.settings.xet_epoch_s
    refreshed = hub.connect()
    assert refreshed["casUrl"] != begun["casUrl"]
    mixed = {"casUrl": begun["casUrl"], "accessToken": refreshed["accessToken"]}
    file = File([(made, 0, 2)])
    assert hub.cas(mixed, "/v1/shards", shard_of(file)).json() == {"result": 1}
    assert hub.received(file.sha256) == file.data


@pytest.mark.parametrize(
    "segment", ["e1", "x", "e1-short-000000000000", "e1-" + "a" * 16, "%2e%2e"]
)
def test_scopes_of_another_form_are_not_found(hub, segment):
    grant = hub.connect()
    assert (
        hub.cas({**grant, "casUrl": f"{hub.url}/cas/{segment}"}, "/v1/shards", b"").status_code
        == 404
    )


BOMB = bytes(cramjam.lz4.compress(bytes(30 << 20)))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"noise that is no xorb at all", 400),
        (fresh().body[:-1], 400),
        (fresh().body, 400),  # another xorb than the URL names
        (chunk_header(len(BOMB), 1, xorb.MAX_CHUNK_BYTES) + BOMB, 400),
        (chunk_header(10, 1, 0xFFFFFF) + bytes(10), 413),
        (chunk_header(1, 0, 1) * 2, 400),
        ((chunk_header(1, 0, 1) + b"a") * 8193, 413),
    ],
)
def test_xorbs_that_lie_are_refused(hub, body, status):
    grant = hub.connect()
    answer = hub.cas(grant, "/v1/xorbs/default/" + "0" * 64, body)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]
    names = hub.house.store.staging.names(scope_name(grant))
    assert f"xorb-{'0' * 64}" not in names


def scope_name(grant: dict) -> str:
    return f"xet-{grant['casUrl'].rpartition('/')[2].rpartition('-')[0]}"


@pytest.mark.parametrize("name", ["0" * 63, "Z" * 64, "..%2f..%2fx", "A" * 64])
def test_hashes_of_another_form_are_refused(hub, name):
    assert hub.cas(hub.connect(), f"/v1/xorbs/default/{name}", b"x").status_code == 400
    assert hub.cas(hub.connect(), f"/v1/reconstructions/{name}").status_code == 400


@pytest.mark.parametrize("path", ["/v1/xorbs/default/" + "0" * 64, "/v1/shards", "/v2/shards"])
def test_a_body_announced_too_large_is_refused_before_it_comes(hub, path):
    """A raw socket: the answer must come although the body never does."""
    grant = hub.connect()
    url = urlsplit(grant["casUrl"] + path)
    head = (
        f"POST {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Length: 99999999999\r\n"
        f"Authorization: Bearer {grant['accessToken']}\r\n\r\n"
    )
    with socket.create_connection((url.hostname, url.port), timeout=10) as connection:
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 413")


def test_a_body_of_unknown_length_is_cut_off_at_the_limit(hub):
    grant = hub.connect()
    url = urlsplit(f"{grant['casUrl']}/v1/xorbs/default/{'0' * 64}")
    head = (
        f"POST {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\nTransfer-Encoding: chunked\r\n"
        f"Authorization: Bearer {grant['accessToken']}\r\n\r\n"
    )
    piece = b"100000\r\n" + bytes(0x100000) + b"\r\n"
    sent = 0
    with socket.create_connection((url.hostname, url.port), timeout=10) as connection:
        connection.sendall(head.encode())
        with pytest.raises(ConnectionError):  # the hub hangs up
            while sent < 4 * xorb.MAX_BODY_BYTES:
                connection.sendall(piece)
                sent += 0x100000
    assert sent >= xorb.MAX_BODY_BYTES - 0x100000
    assert hub.cas(grant, "/v1/shards", b"").status_code == 400  # and lives on


def test_a_body_of_unknown_length_is_taken(hub):
    grant, made = hub.connect(), fresh()
    answer = hub.cas(
        grant, f"/v1/xorbs/default/{made.text}", iter([made.body[:99], made.body[99:]])
    )
    assert answer.json() == {"was_inserted": True}


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize(
    ("lies", "message"),
    [
        ({"name": b"\1" * 32}, "hash to"),
        ({"plain": 7}, "not 7"),
        ({"range": (0, 3)}, "it has 2"),
        ({"range_name": b"\2" * 32}, "range hash"),
        ({"flags": 1 << 30}, "no range hashes"),
        ({"count": 2**32 - 1}, "ends inside"),
    ],
)
def test_shards_that_lie_are_refused(hub, version, lies, message):
    grant, made = hub.connect(), fresh()
    send(hub, grant, made)
    file = File([(made, 0, 2)], lies)
    answer = hub.cas(grant, f"/{version}/shards", make_shard([file.record()], []))
    assert answer.status_code == 400
    assert message in answer.json()["error"]
    assert hub.received(file.sha256) is None


def test_a_xorb_nobody_uploaded_is_told_where_the_client_shows_it(hub):
    """Clients show events, but not the bodies of errors; an honest one may come here."""
    grant, made = hub.connect(), fresh()
    body = shard_of(File([(made, 0, 2)]))
    assert hub.cas(grant, "/v1/shards", body).status_code == 400
    (event,) = events(hub.cas(grant, "/v2/shards", body))
    assert (event["type"], event["retryable"]) == ("error", False)
    assert "Run the upload again" in event["message"]


def test_a_wrong_sha256_is_refused_and_nothing_is_kept(hub):
    grant, made, victim = hub.connect(), fresh(), fresh()
    send(hub, grant, made)
    poison = File([(made, 0, 2)], {"sha256": File([(victim, 0, 2)]).sha256})
    answer = hub.cas(grant, "/v1/shards", make_shard([poison.record()], []))
    assert (answer.status_code, answer.headers["x-error-code"]) == (400, "BadDigest")
    assert poison.text in answer.json()["error"]
    assert hub.received(File([(victim, 0, 2)]).sha256) is None
    assert hub.received(poison.sha256) is None


def test_a_wrong_sha256_is_the_last_event_of_version_two(hub):
    grant, made = hub.connect(), fresh()
    send(hub, grant, made)
    poison = File([(made, 0, 2)], {"sha256": "1" * 64})
    answer = hub.cas(grant, "/v2/shards", make_shard([poison.record()], []))
    last = events(answer)[-1]
    assert (last["type"], last["retryable"]) == ("error", False)
    assert poison.text in last["message"]


def test_one_false_file_does_not_harm_the_true_ones(hub):
    grant, made = hub.connect(), fresh()
    send(hub, grant, made)
    good = File([(made, 0, 1)])
    bad = File([(made, 1, 2)], {"sha256": "1" * 64})
    answer = hub.cas(grant, "/v1/shards", make_shard([good.record(), bad.record()], []))
    assert answer.status_code == 400
    assert hub.cas(grant, "/v1/shards", shard_of(good)).status_code == 200
    assert hub.received(good.sha256) == good.data


def test_a_shard_is_answered_when_its_files_are_there(hub):
    grant, made = hub.connect(), fresh()
    send(hub, grant, made)
    file = File([(made, 0, 2), (made, 0, 1)])
    assert hub.cas(grant, "/v1/shards", shard_of(file)).json() == {"result": 1}
    assert hub.received(file.sha256) == file.data
    assert hub.cas(grant, "/v1/shards", shard_of(file)).json() == {"result": 0}


def test_version_two_tells_how_far_it_is(hub):
    grant, made = hub.connect(), fresh()
    send(hub, grant, made)
    file = File([(made, 0, 2)])
    answer = hub.cas(grant, "/v2/shards", shard_of(file))
    assert answer.headers["content-type"] == "application/x-ndjson"
    told = events(answer)
    assert told[-1] == {"type": "result"}
    assert told[-2] == {"type": "validating", "verified": 5000, "total": 5000}
    assert hub.received(file.sha256) == file.data


def test_files_beyond_the_size_limit_are_refused(hub):
    grant, made = hub.connect(), Xorb([bytes(131072)] * 500, [1] * 500)
    assert send(hub, grant, made).status_code == 200
    answer = hub.cas(grant, "/v1/shards", shard_of(File([(made, 0, 500)] * 5)))
    assert (answer.status_code, answer.headers["x-error-code"]) == (413, "TooLarge")


def test_an_upload_to_a_repo_deleted_meanwhile_is_refused(hub):
    repo_id = RepoId(RepoType.MODEL, "ann", "fleeting")
    hub.house.catalog.repos.create(repo_id, private=False)
    grant = hub.connect("ann/fleeting")
    hub.house.catalog.repos.delete(repo_id)
    assert hub.cas(grant, "/v1/shards", make_shard([], [])).status_code == 404
    hub.house.catalog.repos.create(repo_id, private=False)
    assert hub.cas(grant, "/v1/shards", make_shard([], [])).status_code == 404


def test_generations_are_told_apart_and_bounded(hub, monkeypatch):
    monkeypatch.setattr(scopes, "_MAX_GENERATIONS", 3)
    grant = hub.connect("bob/two", who="bob")
    unknown = make_shard([], [fresh().record()])
    seen = {grant["casUrl"]}
    for _ in range(5):
        assert hub.cas(grant, "/v1/shards", unknown).status_code == 400
        seen.add(hub.connect("bob/two", who="bob")["casUrl"])
    assert len(seen) == 3
