"""Tensors in very many pieces: each is looked at where it lies, and nowhere else."""

from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cairn.domain import DType, Piece, Span, TensorInfo
from cairn.errors import LimitError, MalformedError
from cairn.formats import BytesSource
from cairn.formats.boxes import Box
from cairn.formats.piece_sweep import PieceSweep, Placed
from cairn.formats.values import _boxes, blocks

COUNT = 20_000


class CountedSweep(PieceSweep):
    """Counts how often the end of a piece is looked at."""

    ends = 0

    def _end(self, piece: Placed) -> int:
        CountedSweep.ends += 1
        return super()._end(piece)


def looked_at(
    monkeypatch: pytest.MonkeyPatch, pieces: list[Box], shape: tuple[int, ...], block_bytes: int
) -> tuple[int, int]:
    """How often a piece was given for a box, and how many boxes there were."""
    monkeypatch.setattr("cairn.formats.piece_sweep.PieceSweep", CountedSweep)
    monkeypatch.setattr(CountedSweep, "ends", 0)
    sweep = CountedSweep((piece, at) for at, piece in enumerate(pieces))
    boxes = list(_boxes(shape, 1, block_bytes))
    visits = sum(len(sweep.meeting(box, shape)) for box in boxes)
    assert CountedSweep.ends <= 6 * (len(pieces) + visits)
    return visits, len(boxes)


def test_a_very_tall_first_piece_makes_no_box_look_at_all_the_others(monkeypatch) -> None:
    tall = ((0, 0), (COUNT, 1))
    rows = [((at, 1), (1, 9)) for at in range(COUNT)]
    visits, boxes = looked_at(monkeypatch, [tall, *rows], (COUNT, 10), 10)
    assert boxes == COUNT
    assert visits == 2 * COUNT


def test_one_long_row_in_very_many_pieces_is_swept_once(monkeypatch) -> None:
    for shape in ((1, COUNT), (1, 1, COUNT), (COUNT,)):
        lead = (0,) * (len(shape) - 1)
        pieces = [((*lead, at), (*(1 for _ in lead), 1)) for at in range(COUNT)]
        visits, boxes = looked_at(monkeypatch, pieces, shape, 10)
        assert boxes == COUNT // 10
        assert visits == COUNT, shape


def test_empty_pieces_are_looked_at_once(monkeypatch) -> None:
    pieces = [((0, 0), (0, 9)), ((0, 0), (9, 0))] * COUNT
    assert looked_at(monkeypatch, pieces, (COUNT, 10), 10) == (0, COUNT)


@st.composite
def cut(draw: st.DrawFn) -> tuple[tuple[int, ...], list[Box]]:
    """A shape, and boxes that begin inside it, overlapping and reaching outside or not."""
    shape = draw(st.lists(st.integers(1, 5), max_size=3).map(tuple))
    place = st.tuples(*(st.integers(0, n - 1) for n in shape))
    size = st.tuples(*(st.integers(0, n + 1) for n in shape))
    return shape, draw(st.lists(st.tuples(place, size), max_size=6))


@given(cut(), st.integers(1, 40), st.randoms())
def test_all_the_pieces_that_reach_into_a_box_are_found(made, block_bytes, chance) -> None:
    shape, pieces = made
    sweep = PieceSweep((piece, at) for at, piece in enumerate(pieces))
    for start, extent in _boxes(shape, 1, block_bytes):
        if chance.random() < 0.3:
            continue  # boxes before the start of a stream are not asked for
        found = {at for _, at in sweep.meeting((start, extent), shape)}
        needed = {
            at
            for at, (begin, size) in enumerate(pieces)
            if prod(size)
            and all(
                a < b + m and b < a + n
                for a, n, b, m in zip(start, extent, begin, size, strict=True)
            )
        }
        assert needed <= found
        if sum(n > 1 for n in shape) <= 1:  # along a single axis the sweep finds no others
            assert needed == found


def tensor_of(pieces: list[Piece], shape: tuple[int, ...]) -> TensorInfo:
    return TensorInfo("t", DType.U8, shape, Span(0, 0), pieces=tuple(pieces))


def test_overlapping_pieces_are_refused_before_their_work_multiplies() -> None:
    same = [Piece(Span(0, 100), (0,), (100,))] * COUNT
    with pytest.raises(MalformedError, match="overlap"):
        b"".join(blocks(tensor_of(same, (100,)), BytesSource(bytes(100))))


def test_slivers_across_every_box_end_in_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cairn.formats.values.MIN_FILLS", 1000)
    side = 100
    slivers = [Piece(Span(at * side, (at + 1) * side), (0, at), (side, 1)) for at in range(side)]
    raw = np.arange(side * side, dtype=np.uint8).tobytes()
    whole = np.frombuffer(raw, np.uint8).reshape(side, side).T
    tensor = tensor_of(slivers, (side, side))
    found = b"".join(blocks(tensor, BytesSource(raw), None, 10 * side))
    assert found == whole.tobytes()  # ten boxes of ten rows meet every column
    with pytest.raises(LimitError, match="too small"):
        b"".join(blocks(tensor, BytesSource(raw), None, side))
