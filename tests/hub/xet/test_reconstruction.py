"""Downloads by reconstruction: the right chunks for any range, only for those who may read."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cairn.catalog import PutFile
from cairn.domain import Blob, Digest
from cairn.hub.xet import xorb
from cairn.hub.xet.hashing import from_text
from cairn.hub.xet.reconstruction import reconstruction
from cairn.hub.xet.scopes import Scope
from cairn.hub.xet.staged import Staged, StagedFile, StagedTerm
from cairn.store import open_local_store
from tests.hub.xet.builders import File, Xorb, shard_of

RNG = random.Random(40)
ONE = Xorb([RNG.randbytes(n) for n in (10, 1, 300, 40)], [0, 1, 2, 0])
TWO = Xorb([RNG.randbytes(n) for n in (5, 60)])
FILE = File([(ONE, 0, 2), (TWO, 0, 2), (ONE, 1, 4), (ONE, 3, 4)])
SIZE = len(FILE.data)


@pytest.fixture(scope="module")
def staged(tmp_path_factory):
    store = open_local_store(tmp_path_factory.mktemp("store"))
    made = Staged(store.staging, Scope(1, "t" * 16))
    for each in (ONE, TWO):
        table, used = xorb.verify(memoryview(each.body), each.name)
        made.put_xorb(table, memoryview(each.body)[:used])
    return made


def staged_file() -> StagedFile:
    terms = tuple(StagedTerm(x.name, a, b, sum(map(len, x.chunks[a:b]))) for x, a, b in FILE.runs)
    return StagedFile(Blob(Digest.sha256(FILE.sha256), SIZE), terms)


def fetch(answer: dict, bodies: dict[str, bytes]) -> bytes:
    """Put a file together as a client does."""
    out = b""
    for term in answer["terms"]:
        start, end = term["range"]["start"], term["range"]["end"]
        (entry,) = [
            e
            for e in answer["fetch_info"][term["hash"]]
            if e["range"]["start"] <= start and end <= e["range"]["end"]
        ]
        low, high = entry["url_range"]["start"], entry["url_range"]["end"]
        part = bodies[term["hash"]][low : high + 1]
        chunks, at = [], 0
        while at < len(part):
            stored = int.from_bytes(part[at + 1 : at + 4], "little")
            plain = bytearray(int.from_bytes(part[at + 5 : at + 8], "little"))
            xorb.decode(memoryview(part)[at : at + 8 + stored], memoryview(plain))
            chunks.append(bytes(plain))
            at += 8 + stored
        assert len(chunks) == entry["range"]["end"] - entry["range"]["start"]
        first = entry["range"]["start"]
        data = b"".join(chunks[start - first : end - first])
        assert len(data) == term["unpacked_length"]
        out += data
    return out[answer["offset_into_first_range"] :]


@settings(max_examples=300)
@given(st.integers(0, SIZE - 1), st.integers(1, SIZE))
def test_any_range_is_covered_by_the_fewest_chunks(staged, start, length):
    stop = min(start + length, SIZE)
    answer = reconstruction(staged_file(), staged, start, stop, lambda *_: "url")
    got = fetch(answer, {ONE.text: ONE.body, TWO.text: TWO.body})
    assert got[: stop - start] == FILE.data[start:stop]
    first_chunk = answer["terms"][0]
    assert answer["offset_into_first_range"] < first_chunk["unpacked_length"]
    # Without its last chunk the answer would be too short.
    last = answer["terms"][-1]
    name, end = last["hash"], last["range"]["end"]
    tail = len({ONE.text: ONE, TWO.text: TWO}[name].chunks[end - 1])
    assert len(got) - tail < stop - start


def put(hub, file: File, repo: str = "ann/one") -> dict:
    grant = hub.connect(repo, who=repo.partition("/")[0])
    for made in {x.name: x for x, _, _ in file.runs}.values():
        assert hub.cas(grant, f"/v1/xorbs/default/{made.text}", made.body).status_code == 200
    assert hub.cas(grant, "/v1/shards", shard_of(file)).status_code == 200
    return grant


def test_a_file_is_put_together_from_signed_data(hub):
    grant = put(hub, FILE)
    answer = hub.cas(grant, f"/v1/reconstructions/{FILE.text}").json()
    bodies = {}
    for name, entries in answer["fetch_info"].items():
        body = bytearray(1 << 16)
        for entry in entries:
            low, high = entry["url_range"]["start"], entry["url_range"]["end"]
            got = hub.http(entry["url"], headers={"Range": f"bytes={low}-{high}"})
            assert got.status_code == 206
            assert got.headers["content-range"] == f"bytes {low}-{high}/{high + 1}"
            assert len(got.content) == high - low + 1
            body[low : high + 1] = got.content
        bodies[name] = bytes(body)
    assert fetch(answer, bodies) == FILE.data


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("bytes=0-9", 200),
        (f"bytes=5-{10**17}", 200),
        (f"bytes={SIZE}-{SIZE + 5}", 416),
        ("bytes=9-5", 400),
        ("bytes=-5", 400),
        ("bytes=0-1,3-4", 400),
        ("chunks=0-1", 400),
    ],
)
def test_ranges_of_a_reconstruction(hub, header, status):
    grant = put(hub, FILE)
    answer = hub.cas(grant, f"/v1/reconstructions/{FILE.text}", headers={"Range": header})
    assert answer.status_code == status


def test_unknown_files_are_not_found(hub):
    assert hub.cas(hub.connect(), "/v1/reconstructions/" + "0" * 63 + "1").status_code == 404


def test_readers_only_get_what_was_committed(hub):
    made = Xorb([RNG.randbytes(500)])
    file = File([(made, 0, 1)])
    put(hub, file)
    reader = hub.connect(kind="read")
    path = f"/v1/reconstructions/{file.text}"
    assert hub.cas(reader, path).status_code == 404
    ann = hub.house.catalog.accounts.get("ann")
    hub.house.catalog.history.commit(
        hub.uid(),
        "refs/heads/main",
        [PutFile.large("file.bin", Blob(Digest.sha256(file.sha256), 500))],
        expected_parent=None,
        author=ann,
        title="Add a file",
        when=hub.clock(),
    )
    assert hub.cas(reader, path).status_code == 200


def test_files_of_another_repo_are_not_found(hub):
    put(hub, FILE)
    theirs = hub.connect("bob/one", who="bob")
    assert hub.cas(theirs, f"/v1/reconstructions/{FILE.text}").status_code == 404


def data_url(hub) -> tuple[str, int, int]:
    grant = put(hub, FILE)
    answer = hub.cas(grant, f"/v1/reconstructions/{FILE.text}", headers={"Range": "bytes=12-15"})
    (entry,) = answer.json()["fetch_info"][TWO.text]
    low, high = entry["url_range"]["start"], entry["url_range"]["end"]
    return entry["url"], low, high


def test_data_urls_give_no_more_than_they_were_signed_for(hub):
    url, low, high = data_url(hub)
    assert high < len(TWO.body) - 1
    whole = hub.http(url)
    assert whole.content == TWO.body[low : high + 1]
    beyond = hub.http(url, headers={"Range": f"bytes={low}-{high + 50}"})
    assert beyond.content == TWO.body[low : high + 1]
    assert hub.http(url, headers={"Range": f"bytes={high + 1}-{high + 9}"}).status_code == 416


def test_forged_foreign_and_old_data_urls_are_refused(hub):
    url, _, _ = data_url(hub)
    assert hub.http(url.replace(TWO.text, ONE.text)).status_code == 403
    assert hub.http(url[:-3] + "abc").status_code == 403
    assert hub.http(url.partition("?")[0]).status_code == 403
    hub.clock.ahead_s = 3 * hub.settings.xet_epoch_s
    assert hub.http(url).status_code == 403


def test_data_that_has_gone_is_not_found(hub):
    url, _, _ = data_url(hub)
    segment = url.partition("/cas/")[2].partition("/")[0]
    hub.house.store.staging.drop(f"xet-{segment.rpartition('-')[0]}")
    assert hub.http(url).status_code == 404
    assert from_text(TWO.text) == TWO.name
