"""A xorb is taken only when every byte of it is what its name says."""

import random
import tracemalloc

import cramjam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cairn.errors import LimitError, MalformedError, UntrustedDataError
from cairn.hub.xet import xorb
from tests.hub.xet.builders import Xorb, chunk_header, stored_chunk

chunks = st.lists(
    st.tuples(st.binary(min_size=1, max_size=3000), st.sampled_from([0, 1, 2])),
    min_size=1,
    max_size=12,
)


def verify(body: bytes, name: bytes) -> tuple[xorb.ChunkTable, int]:
    return xorb.verify(memoryview(body), name)


@given(chunks)
def test_every_scheme_gives_its_chunks_back(parts):
    made = Xorb([data for data, _ in parts], [scheme for _, scheme in parts])
    table, used = verify(made.body, made.name)
    assert used == len(made.body)
    assert table.names == made.names
    for start in range(len(parts)):
        for stop in range(start + 1, len(parts) + 1):
            low, high = table.stored_span(start, stop)
            plain = b"".join(made.chunks[start:stop])
            out = bytearray(table.plain_bytes(start, stop))
            xorb.decode(memoryview(made.body)[low:high], memoryview(out))
            assert out == plain
            assert [n for _, n in table.chunks(start, stop)] == [
                len(c) for c in made.chunks[start:stop]
            ]


@given(chunks, st.integers(1, 4000))
def test_split_covers_a_range_in_pieces_below_the_limit(parts, limit):
    made = Xorb([data for data, _ in parts])
    table, _ = verify(made.body, made.name)
    pieces = list(table.split(0, len(table), limit))
    assert [i for start, stop in pieces for i in range(start, stop)] == list(range(len(table)))
    for start, stop in pieces:
        assert table.plain_bytes(start, stop) <= limit or stop == start + 1


def test_a_footer_is_dropped():
    made = Xorb([b"one", b"two"])
    table, used = verify(made.body + b"XETBLOB" + bytes(300), made.name)
    assert (len(table), used) == (2, len(made.body))


SAMPLE = Xorb(
    [random.Random(1).randbytes(700), b"ab" * 900, bytes(range(250)) * 8, b"z"], [0, 1, 2, 0]
)


def test_every_truncation_is_refused():
    body = SAMPLE.body
    for length in range(len(body)):
        with pytest.raises(UntrustedDataError):
            verify(body[:length], SAMPLE.name)


@settings(max_examples=400)
@given(st.data())
def test_a_flipped_byte_never_changes_what_is_read(data):
    """Bytes that mean nothing, such as LZ4 header flags, may flip; content may not."""
    body = bytearray(SAMPLE.body)
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] ^= data.draw(st.integers(1, 255))
    try:
        table, used = verify(bytes(body), SAMPLE.name)
    except UntrustedDataError:
        return
    out = bytearray(table.plain_bytes(0, len(table)))
    xorb.decode(memoryview(body)[:used], memoryview(out))
    assert bytes(out) == b"".join(SAMPLE.chunks)


@given(st.binary(max_size=400))
def test_noise_is_refused(noise):
    with pytest.raises(UntrustedDataError):
        verify(noise, SAMPLE.name)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", MalformedError),
        (b"XETBLOB" + bytes(90), MalformedError),
        (chunk_header(1, 0, 1, version=1) + b"a", MalformedError),
        (chunk_header(1, 3, 1) + b"a", MalformedError),
        (chunk_header(1, 99, 1) + b"a", MalformedError),
        (chunk_header(0, 0, 0), MalformedError),
        (chunk_header(1, 0, 2) + b"a", MalformedError),
        (chunk_header(0, 1, 1), MalformedError),
        (chunk_header(131073, 0, 131073) + bytes(131073), LimitError),
        (chunk_header(0xFFFFFF, 1, 10) + bytes(100), LimitError),
        (chunk_header(10, 1, 0xFFFFFF) + bytes(10), LimitError),
    ],
)
def test_headers_that_lie_are_refused(body, kind):
    with pytest.raises(kind):
        verify(body, SAMPLE.name)


def test_another_name_is_refused_and_both_names_are_told():
    with pytest.raises(MalformedError, match="hash to"):
        verify(SAMPLE.body, bytes(32))


def test_more_chunks_than_allowed_are_refused():
    with pytest.raises(LimitError, match="8192"):
        verify(stored_chunk(b"a") * 8193, bytes(32))


def test_as_many_chunks_as_allowed_are_taken():
    made = Xorb([b"a"] * 8192)
    assert len(verify(made.body, made.name)[0]) == 8192


def test_an_lz4_bomb_takes_no_memory_and_is_refused():
    bomb = bytes(cramjam.lz4.compress(bytes(40 << 20)))
    assert len(bomb) < xorb.MAX_STORED_CHUNK_BYTES
    body = chunk_header(len(bomb), 1, xorb.MAX_CHUNK_BYTES) + bomb
    tracemalloc.start()
    with pytest.raises(MalformedError, match="does not decompress"):
        verify(body, bytes(32))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 1 << 20


def test_frames_that_together_give_too_much_are_refused():
    frame = bytes(cramjam.lz4.compress(b"abcd" * 100))
    body = chunk_header(2 * len(frame), 1, 400) + frame * 2
    with pytest.raises(MalformedError):
        verify(body, bytes(32))


def test_decode_refuses_chunks_that_do_not_add_up():
    with pytest.raises(MalformedError, match="add up"):
        xorb.decode(memoryview(SAMPLE.body), memoryview(bytearray(10)))
    with pytest.raises(MalformedError, match="add up"):
        xorb.decode(memoryview(stored_chunk(b"abc")), memoryview(bytearray(4)))
