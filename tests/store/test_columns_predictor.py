"""The predictor `columns`: the conformance suite, and NumPy's own slicing."""

import hashlib
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cairn.domain import DType
from cairn.errors import IntegrityError
from cairn.store.predictors import ColumnsPredictor
from cairn.store.predictors.columns import Stripe, columns_params
from cairn.testing.predictors import Case, PredictorSuite, prediction


def beside(
    seed: int, rows: int, widths: list[int], first: int, size: int
) -> tuple[Case, np.ndarray]:
    """A part `first .. first + size` of matrices side by side, and the bytes it has."""
    rng = np.random.default_rng(seed)
    whole = [rng.integers(0, 256, (rows, width), dtype=np.uint8) for width in widths]
    row_bytes = sum(widths)
    start, stop = first // row_bytes, -(-(first + size) // row_bytes)
    stripes, bases, column = [], [], 0
    for matrix, width in zip(whole, widths, strict=True):
        stripes.append(Stripe(0, stop - start, column, width, width, 0))
        bases.append(matrix[start:stop].tobytes())
        column += width
    params = columns_params(row_bytes, first - start * row_bytes, stripes)
    plain = np.concatenate(whole, axis=1).ravel()[first : first + size]
    return Case(params, bases, size, DType.U8), plain


class TestColumns(PredictorSuite):
    predictor = ColumnsPredictor()

    def cases(self, seed: int) -> Iterator[Case]:
        yield beside(seed, 9, [12, 8, 20], 0, 360)[0]
        yield beside(seed, 9, [12, 8, 20], 55, 211)[0]
        rng = np.random.default_rng(seed)
        cut_out = columns_params(8, 3, [Stripe(0, 5, 0, 8, 32, 16)])
        yield Case(cut_out, [rng.bytes(100), rng.bytes(60)], 35, DType.F16)


@given(
    rows=st.integers(1, 12),
    widths=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    data=st.data(),
)
@settings(max_examples=150, deadline=None)
def test_matrices_stand_side_by_side_as_numpy_puts_them(
    rows: int, widths: list[int], data: st.DataObject
) -> None:
    total = rows * sum(widths)
    first = data.draw(st.integers(0, total - 1))
    size = data.draw(st.integers(1, total - first))
    case, plain = beside(rows, rows, widths, first, size)
    assert prediction(ColumnsPredictor(), case) == plain.tobytes()


@given(rows=st.integers(1, 12), data=st.data())
@settings(max_examples=150, deadline=None)
def test_columns_are_cut_out_as_numpy_cuts_them(rows: int, data: st.DataObject) -> None:
    width = data.draw(st.integers(1, 20))
    left = data.draw(st.integers(0, width - 1))
    own = data.draw(st.integers(1, width - left))
    first = data.draw(st.integers(0, rows * own - 1))
    size = data.draw(st.integers(1, rows * own - first))
    matrix = np.random.default_rng(rows).integers(0, 256, (rows, width), dtype=np.uint8)
    start, stop = first // own, -(-(first + size) // own)
    stripe = Stripe(0, stop - start, 0, own, width, left)
    case = Case(
        columns_params(own, first - start * own, [stripe]),
        [matrix[start:stop].tobytes()],
        size,
        DType.U8,
    )
    plain = matrix[:, left : left + own].ravel()[first : first + size]
    assert prediction(ColumnsPredictor(), case) == plain.tobytes()


def test_what_no_stripe_makes_is_zero_and_later_stripes_lie_over_earlier_ones() -> None:
    stripes = [Stripe(0, 2, 0, 3, 3, 0), Stripe(1, 2, 2, 2, 2, 0)]
    case = Case(columns_params(5, 0, stripes), [b"abcdef", b"WXYZ"], 15, None)
    assert prediction(ColumnsPredictor(), case) == b"abc\0\0deWX\0\0\0YZ\0"


def test_what_it_makes_never_changes() -> None:
    raw = hashlib.shake_256(b"columns").digest(5_000)  # NumPy's random numbers may change
    stripes = [Stripe(0, 20, 0, 64, 70, 6), Stripe(0, 25, 60, 30, 30, 0), Stripe(3, 9, 90, 6, 9, 1)]
    bases = [raw[:1_400], raw[2_000:2_750], raw[3_000:3_081]]
    made = prediction(ColumnsPredictor(), Case(columns_params(96, 10, stripes), bases, 2_380, None))
    assert hashlib.sha256(made).hexdigest()[:16] == "648997a4ef7f1116"


@pytest.mark.parametrize(
    ("row_bytes", "first", "stripe"),
    [
        (8, 8, Stripe(0, 2, 0, 4, 8, 0)),  # begins after its row
        (0, 0, Stripe(0, 2, 0, 4, 8, 0)),  # a row of nothing
        (8, 0, Stripe(0, 3, 0, 4, 8, 0)),  # more rows than the part
        (8, 0, Stripe(1, 2, 0, 4, 8, 0)),
        (8, 0, Stripe(0, 2, 6, 4, 8, 0)),  # beyond the row
        (8, 0, Stripe(0, 2, 0, 4, 8, 6)),  # beyond the base's row
        (8, 0, Stripe(0, 2, 0, 4, 7, 0)),  # bases of another size
    ],
)
def test_stripes_that_reach_out_of_their_matrix_are_damage(
    row_bytes: int, first: int, stripe: Stripe
) -> None:
    case = Case(columns_params(row_bytes, first, [stripe]), [bytes(16)], 16, None)
    with pytest.raises(IntegrityError):
        prediction(ColumnsPredictor(), case)
