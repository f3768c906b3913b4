"""Values: what is streamed equals what a direct reading of the bytes gives, however they lie."""

import zlib
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cairn.domain import DType, Piece, Span, TensorInfo
from cairn.errors import LimitError, MalformedError
from cairn.formats import BytesSource
from cairn.formats.encodings import decode
from cairn.formats.values import blocks, read_array
from cairn.testing.readers import CountingSource


def listed(array: np.ndarray, **options: object) -> TensorInfo:
    return TensorInfo("t", DType.F32, array.shape, Span(0, array.nbytes), **options)  # type: ignore[arg-type]


def values(tensor: TensorInfo, source: BytesSource, block_bytes: int = 64) -> bytes:
    return b"".join(bytes(block) for block in blocks(tensor, source, None, block_bytes))


@given(
    shape=st.lists(st.integers(1, 7), min_size=0, max_size=4).map(tuple),
    block_bytes=st.sampled_from((1, 8, 64, 1 << 20)),
    order=st.randoms(),
)
def test_a_transposed_view_streams_in_row_major_order(shape, block_bytes, order) -> None:
    stored = np.arange(int(np.prod(shape)), dtype="<f4").reshape(shape)
    axes = list(range(len(shape)))
    order.shuffle(axes)
    view = stored.transpose(axes)
    strides = tuple(step // 4 for step in view.strides)
    tensor = TensorInfo("t", DType.F32, view.shape, Span(0, stored.nbytes), strides=strides)
    assert values(tensor, BytesSource(stored.tobytes()), block_bytes) == view.tobytes()


def test_a_wide_view_is_gathered_without_reading_its_hull(monkeypatch) -> None:
    monkeypatch.setattr("cairn.formats.values.MAX_HULL_BYTES", 4096)
    monkeypatch.setattr("cairn.formats.values._SMALL_HULL_BYTES", 128)
    stored = np.arange(200 * 50, dtype="<f4").reshape(200, 50)
    tensor = TensorInfo("t", DType.F32, (50, 200), Span(0, stored.nbytes), strides=(1, 50))
    assert values(tensor, BytesSource(stored.tobytes()), 500) == stored.T.tobytes()


@pytest.mark.parametrize("axes", [(1, 0, 2), (2, 1, 0), (0, 2, 1), (2, 0, 1)])
def test_large_transposed_views_are_copied_tile_by_tile_and_stay_the_same(axes) -> None:
    stored = np.arange(300 * 5 * 290, dtype="<i4").reshape(300, 5, 290)
    view = stored.transpose(axes)
    strides = tuple(step // 4 for step in view.strides)
    tensor = TensorInfo("t", DType.I32, view.shape, Span(0, stored.nbytes), strides=strides)
    assert values(tensor, BytesSource(stored.tobytes()), 1 << 20) == view.tobytes()


def test_a_view_that_repeats_one_element_forever_is_refused() -> None:
    tensor = TensorInfo("t", DType.F32, (1 << 40,), Span(0, 4), strides=(0,))
    with pytest.raises(LimitError, match="repeats"):
        values(tensor, BytesSource(bytes(4)))


def test_big_endian_elements_come_out_little_endian() -> None:
    array = np.arange(100, dtype=">f4")
    assert (
        values(listed(array, big_endian=True), BytesSource(array.tobytes()))
        == array.astype("<f4").tobytes()
    )


def test_boxes_that_overhang_are_cut_and_what_no_piece_holds_is_zero() -> None:
    whole = np.zeros((5, 7), "<f4")
    whole[:4, :] = np.arange(28, dtype="<f4").reshape(4, 7)
    raw, pieces = b"", []
    for row in (0, 2):
        for column in (0, 4):
            chunk = np.full((2, 4), -1, "<f4")
            part = whole[row : row + 2, column : column + 4]
            chunk[: part.shape[0], : part.shape[1]] = part
            packed = zlib.compress(
                np.frombuffer(chunk.tobytes(), np.uint8).reshape(-1, 4).T.tobytes()
            )
            span = Span(len(raw), len(raw) + len(packed))
            pieces.append(Piece(span, (row, column), (2, 4), encoding=("zlib", "shuffle:4")))
            raw += packed
    tensor = TensorInfo("t", DType.F32, (5, 7), Span(0, 0), pieces=tuple(pieces))
    for block_bytes in (1, 30, 60, 1000):
        assert values(tensor, BytesSource(raw), block_bytes) == whole.tobytes()


@given(cuts=st.lists(st.integers(0, 24), max_size=4), block_bytes=st.integers(1, 120))
def test_flat_runs_are_put_together(cuts, block_bytes) -> None:
    whole = np.arange(24, dtype="<f4").reshape(4, 6)
    edges = [0, *sorted(cuts), 24]
    pieces = [Piece(Span(4 * a, 4 * b), (a,), (b - a,)) for a, b in pairwise(edges)]
    tensor = TensorInfo("t", DType.F32, (4, 6), Span(0, 0), pieces=tuple(reversed(pieces)))
    assert values(tensor, BytesSource(whole.tobytes()), block_bytes) == whole.tobytes()


def test_a_piece_in_a_file_that_is_not_at_hand_is_an_error() -> None:
    piece = Piece(Span(0, 16), (0,), (4,), path="other.data")
    tensor = TensorInfo("t", DType.F32, (4,), Span(0, 0), pieces=(piece,))
    with pytest.raises(MalformedError, match=r"other\.data"):
        read_array(tensor, BytesSource(b""))


@given(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=50))
def test_varints_decode_to_the_integers_they_encode(numbers) -> None:
    raw = b""
    for number in numbers:
        rest = number & (2**64 - 1)
        while rest >= 0x80:
            raw += bytes([rest & 0x7F | 0x80])
            rest >>= 7
        raw += bytes([rest])
    plain = np.array(numbers, "<i4").tobytes()
    assert decode(raw, ("varint",), DType.I32, len(plain)) == plain


def test_a_bomb_is_refused_before_it_unfolds() -> None:
    with pytest.raises(MalformedError):
        decode(zlib.compress(bytes(1 << 20)), ("zlib",), DType.U8, 100)
    with pytest.raises(LimitError):
        decode(b"", ("zlib",), DType.U8, 1 << 40)


@pytest.mark.parametrize("pieces", [(), (Piece(Span(0, 8), (0,), (2,)),) * 1000])
def test_a_petabyte_that_hardly_any_byte_holds_is_refused(pieces) -> None:
    nothing = Piece(Span(0, 0), (0,), (0,))
    tensor = TensorInfo("t", DType.F32, (10**15,), Span(0, 0), pieces=(nothing, *pieces))
    with pytest.raises(LimitError, match="is held by pieces"):
        next(blocks(tensor, BytesSource(bytes(8))))


def test_one_compressed_chunk_under_a_million_places_is_refused() -> None:
    raw = zlib.compress(bytes(1 << 20))
    pieces = tuple(
        Piece(Span(at % 2, len(raw)), (at << 20,), (1 << 20,), encoding=("zlib",))
        for at in range(10_000)
    )
    tensor = TensorInfo("t", DType.U8, (10_000 << 20,), Span(0, 0), pieces=pieces)
    with pytest.raises(LimitError, match="unfold"):
        next(blocks(tensor, BytesSource(raw)))


def test_chunks_too_large_to_remember_are_not_decoded_again_and_again(monkeypatch) -> None:
    monkeypatch.setattr("cairn.formats.values._MAX_KEPT_BYTES", 1 << 10)
    column = zlib.compress(bytes(range(256)) * 16)
    pieces = tuple(
        Piece(Span(0, len(column)), (0, at), (4096, 1), encoding=("zlib",)) for at in (0, 1)
    )
    tensor = TensorInfo("t", DType.U8, (4096, 2), Span(0, 0), pieces=pieces)
    assert len(values(tensor, BytesSource(column), 1 << 10)) == 8192
    with pytest.raises(LimitError, match="again and again"):
        values(tensor, BytesSource(column), 16)


def turned() -> tuple[TensorInfo, bytes, bytes]:
    stored = np.arange(6 * 9, dtype="<f4").reshape(6, 9)
    tensor = TensorInfo("t", DType.F32, (9, 6), Span(0, stored.nbytes), strides=(1, 9))
    return tensor, stored.tobytes(), stored.T.tobytes()


def plain() -> tuple[TensorInfo, bytes, bytes]:
    stored = np.arange(54, dtype=">f4")
    return listed(stored, big_endian=True), stored.tobytes(), stored.astype("<f4").tobytes()


def in_pieces() -> tuple[TensorInfo, bytes, bytes]:
    whole = np.arange(54, dtype="<f4").reshape(9, 6)
    halves = (whole[:, :2].tobytes(), zlib.compress(whole[:, 2:].tobytes()))
    pieces = (
        Piece(Span(0, len(halves[0])), (0, 0), (9, 2)),
        Piece(Span(len(halves[0]), sum(map(len, halves))), (0, 2), (9, 4), encoding=("zlib",)),
    )
    tensor = TensorInfo("t", DType.F32, (9, 6), Span(0, 0), pieces=pieces)
    return tensor, b"".join(halves), whole.tobytes()


@pytest.mark.parametrize("made", [turned, plain, in_pieces])
@pytest.mark.parametrize("block_bytes", [4, 50, 1000])
def test_a_stream_may_begin_anywhere(made, block_bytes) -> None:
    tensor, raw, expected = made()
    for start in range(len(expected) + 1):
        found = b"".join(blocks(tensor, BytesSource(raw), None, block_bytes, start))
        assert found == expected[start:], start


def test_what_lies_before_the_start_of_a_stream_is_not_read() -> None:
    source = CountingSource(BytesSource(bytes(54 * 4)))
    tensor = listed(np.zeros(54, "<f4"))
    b"".join(blocks(tensor, source, None, 40, 204))
    assert source.reads == [(204, 216)]
