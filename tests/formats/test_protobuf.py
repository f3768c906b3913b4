"""The protobuf wire format: what Google's library writes, and what nobody should."""

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cairn.domain import Span
from cairn.errors import LimitError, MalformedError, UntrustedDataError
from cairn.formats import BytesSource
from cairn.formats.protobuf import DELIMITED, FIXED32, Field, Wire
from cairn.formats.read_ahead import FIRST_BYTES, MOST_BYTES, ReadAheadSource
from cairn.testing.readers import CountingSource


def fields_of(data: bytes) -> list[Field]:
    wire = Wire(BytesSource(data, "x.pb"))
    return list(wire.fields(wire.whole))


def test_the_fields_of_a_message_that_the_library_wrote() -> None:
    message = onnx.AttributeProto(name="é", f=1.5, i=-2, ints=[1, -1, 300], floats=[0.5])
    wire = Wire(BytesSource(message.SerializeToString()))
    found = {field.number: field for field in wire.fields(wire.whole)}
    name, number = found[1], found[3]
    assert isinstance(name.value, Span)
    assert wire.text(name.value, 100) == "é"
    assert (found[2].wire_type, found[2].value) == (FIXED32, 0x3FC00000)
    assert wire.integers(number, 1) == [-2]


def test_integers_packed_or_one_by_one_are_the_same() -> None:
    tensor = onnx.TensorProto(dims=[1, 300, 2**40], int64_data=[-1, 0, 5])
    wire = Wire(BytesSource(tensor.SerializeToString()))
    dims = [n for f in wire.fields(wire.whole) if f.number == 1 for n in wire.integers(f, 9)]
    packed = [f for f in wire.fields(wire.whole) if f.number == 7]
    assert dims == [1, 300, 2**40]
    assert [f.wire_type for f in packed] == [DELIMITED]
    assert wire.integers(packed[0], 3) == [-1, 0, 5]
    with pytest.raises(LimitError):
        wire.integers(packed[0], 2)


def test_payloads_are_skipped_unread() -> None:
    source = CountingSource(BytesSource(b"\x0a\x80\x80\x40" + bytes(1 << 20) + b"\x10\x07"))
    wire = Wire(source)
    first, second = wire.fields(wire.whole)
    assert first.value == Span(4, 4 + (1 << 20))
    assert second.value == 7
    assert source.bytes_read <= 2 * FIRST_BYTES


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x80", "cut off"),
        (b"\x08", "cut off"),
        (b"\x08\x80", "cut off"),
        (b"\x08" + b"\xff" * 10 + b"\x01", "more than 10 bytes"),
        (b"\x0a\x05abcd", "reaches out"),
        (b"\x0a" + b"\xff" * 9 + b"\x01", "reaches out"),
        (b"\x0d\x00\x00\x00", "reaches out"),
        (b"\x09" + bytes(7), "reaches out"),
        (b"\x00\x00", "number 0"),
        (b"\x0b\x0c", "wire type 3"),
        (b"\x0e\x00", "wire type 6"),
    ],
)
def test_a_broken_field_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(MalformedError, match=why):
        fields_of(data)


def test_a_field_may_not_reach_into_what_follows_its_message() -> None:
    wire = Wire(BytesSource(b"\x0a\x04abcdefgh"))
    with pytest.raises(MalformedError, match="reaches out"):
        list(wire.fields(Span(0, 4)))


def test_a_swarm_of_tiny_fields_is_refused() -> None:
    wire = Wire(BytesSource(b"\x08\x01" * 100), max_fields=99)
    with pytest.raises(LimitError, match="more than 99"):
        list(wire.fields(wire.whole))


def test_text_is_utf8_and_cut_where_told() -> None:
    wire = Wire(BytesSource("aéé".encode()))
    assert wire.text(wire.whole, 100) == "aéé"
    assert wire.text(wire.whole, 4) == "aé"
    with pytest.raises(MalformedError, match="UTF-8"):
        wire.text(Span(2, 4), 100)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=64))
def test_any_bytes_are_fields_or_refused(data: bytes) -> None:
    try:
        found = fields_of(data)
    except UntrustedDataError as error:
        assert "x.pb" in str(error)
    else:
        assert all(field.span.stop <= len(data) for field in found)


def test_reading_ahead_gives_the_same_bytes_in_fewer_reads() -> None:
    data = bytes(range(256)) * 4096
    counted = CountingSource(BytesSource(data, "x"))
    ahead = ReadAheadSource(counted)
    assert b"".join(ahead.read_at(at, 64) for at in range(0, len(data), 64)) == data
    assert ahead.read_at(len(data) - 2, 9) == data[-2:]
    assert ahead.read_at(len(data) + 5, 9) == b""
    assert ahead.read_at(0, MOST_BYTES + 1) == data[: MOST_BYTES + 1]
    assert len(counted.reads) < 24


def test_reading_ahead_starts_small_again_after_a_jump() -> None:
    counted = CountingSource(BytesSource(bytes(4 << 20)))
    ahead = ReadAheadSource(counted)
    for at in range(0, 1 << 20, 512):
        ahead.read_at(at, 512)
    before = counted.bytes_read
    ahead.read_at(3 << 20, 10)
    assert counted.bytes_read - before == FIRST_BYTES
