"""A shard is taken apart without trusting one number in it."""

import contextlib
import struct

import hf_xet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cairn.errors import LimitError, MalformedError, UntrustedDataError
from cairn.hub.xet import shard
from tests.hub.xet.builders import BOOKEND, File, Xorb, shard_of
from tests.hub.xet.builders import shard as make_shard

XORBS = [Xorb([b"one", b"two" * 50, b"three"]), Xorb([b"four", b"five"])]
FILES = [
    File([(XORBS[0], 0, 2), (XORBS[1], 1, 2)]),
    File([(XORBS[0], 2, 3)]),
    File([]),
]
SAMPLE = shard_of(*FILES)


def parse(body: bytes) -> shard.Shard:
    return shard.parse(memoryview(body))


def read_all(parsed: shard.Shard) -> None:
    for file in parsed.files:
        list(file.terms())


def test_what_was_put_in_comes_out():
    parsed = parse(SAMPLE)
    assert [f.name for f in parsed.files] == [f.name for f in FILES]
    assert [f.sha256.hex for f in parsed.files] == [f.sha256 for f in FILES]
    first = list(parsed.files[0].terms())
    assert [(t.xorb, t.start, t.stop, t.plain_bytes) for t in first] == [
        (XORBS[0].name, 0, 2, 153),
        (XORBS[1].name, 1, 2, 4),
    ]
    assert [(x.name, x.names, x.plain_sizes.tolist()) for x in parsed.xorbs] == [
        (x.name, x.names, [len(c) for c in x.chunks]) for x in XORBS
    ]


def test_a_shard_of_the_client_is_understood(tmp_path):
    session = hf_xet.XetSession()
    with session.new_upload_commit(endpoint=f"local://{tmp_path}") as commit:
        handles = [commit.start_upload_bytes(c) for c in (b"", b"x", bytes(300_000))]
    (path,) = tmp_path.glob("xet/xorbs/shards/*.mdb")  # with a footer, unlike an upload
    parsed = parse(path.read_bytes())
    want = {h.result().xet_info.sha256 for h in handles}
    assert {f.sha256.hex for f in parsed.files} == want


def test_zeros_for_a_sha256_mean_that_none_was_computed():
    body = make_shard([File([], {"sha256": "0" * 64}).record()], [])
    assert parse(body).files[0].sha256 is None


def test_every_truncation_is_refused():
    for length in range(len(SAMPLE)):
        with pytest.raises(MalformedError):
            parse(SAMPLE[:length])


@settings(max_examples=500)
@given(st.data())
def test_flipped_bytes_are_read_or_refused_but_nothing_else(data):
    body = bytearray(SAMPLE)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(UntrustedDataError):
        read_all(parse(bytes(body)))


@given(st.binary(max_size=500))
def test_noise_behind_a_good_header_is_read_or_refused(noise):
    with contextlib.suppress(UntrustedDataError):
        read_all(parse(SAMPLE[:48] + noise))


@pytest.mark.parametrize("count", [4, 1000, 2**31, 2**32 - 1])
def test_counts_beyond_the_bytes_are_refused_at_once(count):
    lie = FILES[1].record()[:36] + struct.pack("<I", count) + bytes(8)
    with pytest.raises(MalformedError, match="ends inside"):
        parse(make_shard([lie], []))
    with pytest.raises(MalformedError, match="ends inside"):
        parse(make_shard([], [XORBS[0].record(count=count)[:48]]))


def test_files_without_range_hashes_are_refused():
    body = make_shard([File(FILES[0].runs, {"flags": shard.WITH_SHA256}).record()], [])
    with pytest.raises(MalformedError, match="no range hashes"):
        parse(body)


def test_other_versions_and_tags_are_refused():
    with pytest.raises(MalformedError, match="version 3"):
        parse(make_shard([], [], version=3))
    with pytest.raises(MalformedError, match="tag"):
        parse(b"\0" + SAMPLE[1:])


def test_bytes_after_the_end_are_refused_unless_a_footer_is_announced():
    with pytest.raises(MalformedError, match="after the last section"):
        parse(SAMPLE + b"more")
    footed = make_shard([f.record() for f in FILES], [], footer=200)
    assert len(parse(footed + bytes(200)).files) == len(FILES)


def test_a_missing_bookend_is_refused():
    with pytest.raises(MalformedError):
        parse(SAMPLE[: -len(BOOKEND)])


def test_too_many_files_and_too_many_bytes_are_refused(monkeypatch):
    monkeypatch.setattr(shard, "MAX_FILES", 2)
    with pytest.raises(LimitError, match="more than 2 files"):
        parse(SAMPLE)
    monkeypatch.setattr(shard, "MAX_SHARD_BYTES", 100)
    with pytest.raises(LimitError, match="at most 100"):
        parse(SAMPLE)
