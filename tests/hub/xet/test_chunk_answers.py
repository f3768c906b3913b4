"""Questions about chunks: what is answered, to whom, and what a shard may build on it."""

import logging
import random
import struct
import time

import numpy as np
import pytest
import structlog
from blake3 import blake3
from structlog.testing import capture_logs

from cairn.domain import Digest
from cairn.hub.xet import hashing, known, materialise, routes, shard
from cairn.hub.xet.state import Seen
from cairn.workflows.maintain import trim_chunk_lists
from tests.hub.xet.builders import File, Xorb, shard_of
from tests.hub.xet.builders import shard as make_shard
from tests.hub.xet.conftest import XetHub
from tests.hub.xet.repos import commit, new_repo, whole

RNG = random.Random(71)
CHUNK = 8 * 1024
EPOCH_S = 24 * 3600


def some_xorb(count: int = 40, size: int = CHUNK) -> Xorb:
    return Xorb([RNG.randbytes(size) for _ in range(count)])


def push(hub: XetHub, repo: str, *files: File, sent: tuple[Xorb, ...] | None = None):
    """Send xorbs (by default all that the files use) and the shard; the answer to it."""
    grant = hub.connect(repo, who=repo.partition("/")[0])
    used = {xorb.name: xorb for file in files for xorb, _, _ in file.runs}
    for xorb in used.values() if sent is None else sent:
        assert hub.cas(grant, f"/v1/xorbs/default/{xorb.text}", xorb.body).status_code == 200
    body = shard_of(*files) if sent is None else make_shard([f.record() for f in files], [])
    return hub.cas(grant, "/v1/shards", body)


def publish(hub: XetHub, xorb: Xorb, owner: str = "ann") -> str:
    """A repo with a revision whose file has the chunks of `xorb`."""
    repo, file = new_repo(hub, owner), whole(xorb)
    assert push(hub, repo, file).status_code == 200
    commit(hub, repo, file.data)
    return repo


def ask(hub: XetHub, chunk: bytes, who: str = "bob", **options: str):
    grant = hub.connect(new_repo(hub, who), who=who)
    name = hashing.to_text(hashing.chunk_name(chunk))
    return hub.cas(grant, f"/v1/chunks/{options.get('prefix', 'default')}/{name}")


def footer(body: bytes) -> tuple:
    return struct.unpack("<9Q32s2Q48x4Q", body[-200:])


@pytest.mark.parametrize("prefix", ["default", "default-merkledb"])
def test_the_answer_lists_the_chunks_under_a_key_until_the_scope_ends(hub, prefix):
    xorb = some_xorb()
    publish(hub, xorb)
    answer = ask(hub, xorb.chunks[0], prefix=prefix)
    assert answer.status_code == 200
    body = answer.content
    parsed = shard.parse(memoryview(body))
    assert parsed.files == ()
    (listed,) = parsed.xorbs
    version, files, xorbs, *lookups, key, made, expires, _, _, plain, at = footer(body)
    assert (version, files, at) == (1, 48, len(body) - 200)
    assert body[xorbs : xorbs + 32] == listed.name == xorb.name
    assert lookups == [at, 0] * 3
    assert plain == 40 * CHUNK
    keyed = [blake3(hashing.chunk_name(c), key=key).digest() for c in xorb.chunks]
    assert listed.names == b"".join(keyed)
    assert np.array_equal(listed.plain_sizes, [CHUNK] * 40)
    assert (expires - made, made % EPOCH_S) == (2 * EPOCH_S, 0)
    assert made <= hub.clock().timestamp() < made + EPOCH_S


def test_each_scope_has_its_own_key_and_one_scope_always_the_same_answer(hub):
    xorb = some_xorb()
    publish(hub, xorb)
    grant = hub.connect(new_repo(hub, "bob"), who="bob")
    path = f"/v1/chunks/default/{hashing.to_text(hashing.chunk_name(xorb.chunks[0]))}"
    first, second = (hub.cas(grant, path).content for _ in range(2))
    other = ask(hub, xorb.chunks[0]).content
    assert first == second
    assert footer(first)[9] != footer(other)[9]


def test_chunks_that_clients_ask_about_are_keys_and_others_are_not(hub):
    xorb = some_xorb()
    while not known.is_asked_about(hashing.chunk_name(xorb.chunks[20])):
        xorb.chunks[20] = RNG.randbytes(CHUNK)
    publish(hub, xorb)
    asked = [ask(hub, xorb.chunks[i]).status_code for i in (0, 20, 21)]
    assert asked == [200, 200, 404]


def test_an_answer_begins_with_the_run_asked_about_and_is_bounded(hub, monkeypatch):
    monkeypatch.setattr(known, "RUN_CHUNKS", 10)
    monkeypatch.setattr(known, "ANSWERED_RUNS", 3)
    xorb = some_xorb(50)
    while not known.is_asked_about(hashing.chunk_name(xorb.chunks[35])):
        xorb.chunks[35] = RNG.randbytes(CHUNK)
    publish(hub, xorb)
    runs = [Xorb(xorb.chunks[at : at + 10]).name for at in range(0, 50, 10)]
    listed = shard.parse(memoryview(ask(hub, xorb.chunks[35]).content)).xorbs
    assert [x.name for x in listed] == [runs[3], runs[4], runs[0]]


@pytest.mark.parametrize("closed", [{"private": True}, {"gated": "auto"}])
def test_a_chunk_one_may_not_read_is_answered_like_one_nobody_has(hub, closed):
    xorb = some_xorb()
    repo = publish(hub, xorb)
    hub.house.catalog.repos.update(hub.repo_id(repo), **closed)
    stranger, unknown = ask(hub, xorb.chunks[0]), ask(hub, RNG.randbytes(CHUNK))
    assert stranger.status_code == unknown.status_code == 404
    assert stranger.json()["error"] == unknown.json()["error"]
    assert stranger.headers.keys() == unknown.headers.keys()
    assert ask(hub, xorb.chunks[0], "ann").status_code == 200


def test_the_first_unknown_chunk_of_an_upload_is_answered_with_a_guess(hub):
    xorb, other = some_xorb(), some_xorb()
    repo = publish(hub, xorb)
    grant = hub.connect(repo)
    paths = [f"/v1/chunks/default/{hashing.to_text(RNG.randbytes(32))}" for _ in range(2)]
    guess, none = (hub.cas(grant, path) for path in paths)
    assert [x.name for x in shard.parse(memoryview(guess.content)).xorbs] == [xorb.name]
    assert none.status_code == 404
    # What is known is answered as ever.
    publish(hub, other)
    name = hashing.to_text(hashing.chunk_name(other.chunks[0]))
    answer = hub.cas(grant, f"/v1/chunks/default/{name}")
    assert [x.name for x in shard.parse(memoryview(answer.content)).xorbs] == [other.name]


def test_only_so_many_guesses_are_remembered():
    seen = Seen(2)
    assert [seen.add(key) for key in ("a", "b", "a", "c", "a")] == [True, True, False, True, True]


def test_an_unknown_chunk_takes_a_full_step_of_time(hub, monkeypatch):
    monkeypatch.setattr(routes, "UNKNOWN_STEP_S", 0.4)
    began = time.monotonic()
    assert ask(hub, b"unknown").status_code == 404
    assert time.monotonic() - began >= 0.4


def test_bad_questions_are_refused(hub):
    grant = hub.connect("ann/one")
    assert hub.cas(grant, "/v1/chunks/default/zz").status_code == 400
    name = "0" * 64
    assert hub.cas(hub.connect("ann/one", "read"), f"/v1/chunks/default/{name}").status_code == 403
    assert hub.http(f"{grant['casUrl']}/v1/chunks/default/{name}").status_code == 401
    foreign = {**grant, "casUrl": hub.connect("ann/two")["casUrl"]}
    assert hub.cas(foreign, f"/v1/chunks/default/{name}").status_code == 403
    assert hub.cas(grant, f"/v1/chunks/other/{name}").status_code == 404


def test_a_file_may_be_made_of_runs_and_of_what_was_sent(hub):
    old, new = some_xorb(), some_xorb(3)
    publish(hub, old)
    file = File([(old, 3, 17), (new, 0, 3), (old, 17, 40), (old, 0, 1)])
    repo = new_repo(hub, "bob")
    assert push(hub, repo, file, sent=(new,)).status_code == 200
    assert hub.received(file.sha256, repo) == file.data


@pytest.fixture
def talkative():
    """The log as the hub has it by default; tests keep only errors."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    yield
    structlog.configure(**before)


@pytest.mark.usefixtures("talkative")
def test_the_log_says_how_much_of_an_upload_was_here(hub):
    old, new = some_xorb(), some_xorb(3)
    publish(hub, old)
    file = File([(new, 0, 3), (old, 0, 30)])
    with capture_logs() as logs:
        push(hub, new_repo(hub, "bob"), file, whole(old), sent=(new,))
    (said,) = (entry for entry in logs if entry["event"] == "xet upload")
    assert (said["files"], said["plain_bytes"]) == (2, 73 * CHUNK)
    assert said["known_bytes"] == 70 * CHUNK


@pytest.mark.parametrize("closed", [{"private": True}, {"gated": "auto"}])
def test_naming_a_run_one_may_not_read_is_refused_like_one_that_is_not(hub, closed):
    """Also when the repo was open at the time of the answer."""
    old = some_xorb()
    origin = publish(hub, old)
    assert ask(hub, old.chunks[0]).status_code == 200
    hub.house.catalog.repos.update(hub.repo_id(origin), **closed)
    repo, never = new_repo(hub, "bob"), some_xorb()
    refused, unknown = (push(hub, repo, whole(x), sent=()) for x in (old, never))
    assert refused.status_code == unknown.status_code == 400
    told = [r.json()["error"].replace(x.text, "X") for r, x in ((refused, old), (unknown, never))]
    assert told[0] == told[1]
    assert hub.received(whole(old).sha256, repo) is None
    own = new_repo(hub, "ann")
    assert push(hub, own, whole(old), sent=()).status_code == 200


def test_a_repo_that_goes_takes_the_right_to_its_chunks_with_it(hub):
    old = some_xorb()
    origin = publish(hub, old)
    hub.house.catalog.repos.delete(hub.repo_id(origin))
    assert ask(hub, old.chunks[0]).status_code == 404
    assert push(hub, new_repo(hub, "ann"), whole(old), sent=()).status_code == 400


def test_false_claims_about_a_run_are_refused(hub):
    old = some_xorb()
    publish(hub, old)
    for lies in ({"range_name": b"\1" * 32}, {"plain": 7}, {"range": (0, 41)}):
        answer = push(hub, new_repo(hub, "bob"), File([(old, 0, 40)], lies), sent=())
        assert answer.status_code == 400
    liar = File([(old, 0, 40)], {"sha256": "1" * 64})
    answer = push(hub, new_repo(hub, "bob"), liar, sent=())
    assert (answer.status_code, answer.headers["x-error-code"]) == (400, "BadDigest")


def test_a_file_that_is_here_as_it_is_is_not_made_again(hub, monkeypatch):
    old = some_xorb()
    origin = publish(hub, old)
    made = []
    real = materialise._write
    monkeypatch.setattr(materialise, "_write", lambda *args: made.append(1) or real(*args))
    for owner in ("bob", "ann"):
        repo = new_repo(hub, owner)
        assert push(hub, repo, whole(old), sent=()).json() == {"result": 0}
        assert hub.received(whole(old).sha256, repo) == whole(old).data
    assert not made
    # Whoever may not read it has to bring all of it, even if they name it rightly.
    hub.house.catalog.repos.update(hub.repo_id(origin), private=True)
    repo = new_repo(hub, "bob")
    assert push(hub, repo, whole(old)).json() == {"result": 1}
    assert made == [1]


def test_the_name_of_a_blob_one_may_read_does_not_excuse_other_bytes(hub):
    old, new = some_xorb(), some_xorb()
    publish(hub, old)
    liar = File([(new, 0, 40)], {"sha256": whole(old).sha256})
    answer = push(hub, new_repo(hub, "bob"), liar, sent=(new,))
    assert (answer.status_code, answer.headers["x-error-code"]) == (400, "BadDigest")


def test_a_damaged_blob_is_made_again_by_who_sends_it(hub):
    old = some_xorb()
    publish(hub, old)
    sha256 = whole(old).sha256
    next(hub.settings.store_dir.glob(f"raw/*/{sha256}")).write_bytes(b"?" * 40 * CHUNK)
    hub.house.store.verify([Digest.sha256(sha256)])
    repo = new_repo(hub, "bob")
    assert push(hub, repo, whole(old)).json() == {"result": 1}
    assert hub.received(sha256, repo) == whole(old).data


def test_a_file_made_of_blobs_is_not_offered_for_xet_downloads(hub):
    old = some_xorb()
    publish(hub, old)
    repo = new_repo(hub, "bob")
    push(hub, repo, whole(old), sent=())
    answer = hub.cas(hub.connect(repo, who="bob"), f"/v1/reconstructions/{whole(old).text}")
    assert answer.status_code == 404


@pytest.mark.parametrize("cut", [(3, 80 * 1024), (400, 1024)], ids=["small", "too finely cut"])
def test_what_is_not_worth_asking_about_is_not_listed(hub, cut):
    xorb = some_xorb(*cut)
    publish(hub, xorb)
    assert ask(hub, xorb.chunks[0]).status_code == 404


def test_of_a_very_large_blob_only_the_start_is_listed(hub, monkeypatch):
    monkeypatch.setattr(known, "RUN_CHUNKS", 10)
    monkeypatch.setattr(known, "MAX_LISTED_RUNS", 3)
    xorb = some_xorb(50)
    publish(hub, xorb)
    listed = shard.parse(memoryview(ask(hub, xorb.chunks[0]).content)).xorbs
    assert [x.name for x in listed] == [Xorb(xorb.chunks[at : at + 10]).name for at in (0, 10, 20)]
    repo = new_repo(hub, "bob")  # not taken for the file that its first runs would be
    assert push(hub, repo, whole(xorb)).json() == {"result": 1}
    assert hub.received(whole(xorb).sha256, repo) == whole(xorb).data


def test_lists_go_with_their_blobs_and_with_the_limit(hub):
    held, loose = some_xorb(), some_xorb()
    repo = publish(hub, held)
    push(hub, new_repo(hub, "ann"), whole(loose))
    trim_chunk_lists(hub.house, 10_000_000)
    # In no revision yet, but its commit may come: then it is of use.
    commit(hub, new_repo(hub, "ann"), whole(loose).data)
    assert [ask(hub, x.chunks[0]).status_code for x in (held, loose)] == [200, 200]
    hub.house.catalog.repos.delete(hub.repo_id(repo))
    hub.house.catalog.uploads.expire(hub.clock())
    assert trim_chunk_lists(hub.house, 10_000_000) >= 1
    assert hub.house.catalog.chunk_lists.runs(Digest.sha256(whole(held).sha256), 0, 1) == []
    assert ask(hub, loose.chunks[0]).status_code == 200
    trim_chunk_lists(hub.house, 0)
    assert ask(hub, loose.chunks[0]).status_code == 404
