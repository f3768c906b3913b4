"""The predictor `transpose`: the conformance suite, and NumPy's own transposition."""

import hashlib
from collections.abc import Iterator
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cairn.domain import DType
from cairn.errors import IntegrityError
from cairn.store.predictors import TransposePredictor
from cairn.store.predictors.transpose import WIDTHS, TransposeParams
from cairn.testing.predictors import Case, PredictorSuite, prediction


def case_of(raw: bytes, params: TransposeParams, count: int) -> Case:
    """A part of so many elements; the base lies in two parts."""
    cut = len(raw) // 3
    return Case(params.encode(), [raw[:cut], raw[cut:]], count * params.width, DType.F32)


class TestTranspose(PredictorSuite):
    predictor = TransposePredictor()

    def cases(self, seed: int) -> Iterator[Case]:
        rng = np.random.default_rng(seed)
        for width in WIDTHS:
            raw = rng.bytes(width * 9 * 11)
            yield case_of(raw, TransposeParams(width, 0, (9, 11), (1, 0)), 99)
            yield case_of(raw, TransposeParams(width, 13, (9, 11), (1, 0)), 50)
        raw = rng.bytes(2 * 3 * 4 * 5 * 6)
        yield case_of(raw, TransposeParams(2, 7, (3, 4, 5, 6), (2, 3, 1, 0)), 200)


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_any_run_of_any_order_of_axes_is_what_numpy_gives(data: st.DataObject) -> None:
    axes = data.draw(st.integers(2, 6).flatmap(lambda n: st.permutations(range(n))))
    lengths = tuple(data.draw(st.lists(st.integers(1, 5), min_size=len(axes), max_size=len(axes))))
    width = data.draw(st.sampled_from(WIDTHS))
    first = data.draw(st.integers(0, prod(lengths) - 1))
    count = data.draw(st.integers(0, prod(lengths) - first))
    raw = np.random.default_rng(first).bytes(prod(lengths) * width)
    array = np.frombuffer(raw, f"V{width}").reshape(lengths)
    wanted = array.transpose(axes).ravel()[first : first + count].tobytes()
    params = TransposeParams(width, first, lengths, tuple(axes))
    assert TransposeParams.parse(memoryview(params.encode())) == params
    assert prediction(TransposePredictor(), case_of(raw, params, count)) == wanted


def test_what_it_makes_never_changes() -> None:
    raw = hashlib.shake_256(b"transpose").digest(8_000)  # NumPy's random numbers may change
    made = [
        prediction(TransposePredictor(), case_of(raw, TransposeParams(*params), 400))
        for params in (
            (4, 1_111, (40, 50), (1, 0)),
            (2, 333, (8, 5, 10, 10), (3, 2, 0, 1)),
            (2, 3_000, (20, 2, 10, 10), (0, 2, 1, 3)),
            (8, 17, (10, 10, 10), (1, 2, 0)),
        )
    ]
    assert hashlib.sha256(b"".join(made)).hexdigest()[:16] == "a55df21d944962a6"


GOOD = TransposeParams(4, 0, (4, 5), (1, 0))


@pytest.mark.parametrize(
    "params",
    [
        TransposeParams(3, 0, (4, 5), (1, 0)),
        TransposeParams(4, 0, (4, 5), (0, 0)),
        TransposeParams(4, 0, (4, 5), (1, 2)),
        TransposeParams(4, 1, (4, 5), (1, 0)),  # reaches past the end
        TransposeParams(4, 0, (4, 6), (1, 0)),  # the base has fewer
        TransposeParams(4, 0, (2**31, 2**31), (1, 0)),
        TransposeParams(4, 2**63, (4, 5), (1, 0)),
        TransposeParams(4, 0, (20,), (0,)),
        TransposeParams(4, 0, (1,) * 5 + (4, 5), tuple(range(7))),
        TransposeParams(4, 0, (0, 5), (1, 0)),
    ],
)
def test_what_fits_no_array_is_damage(params: TransposeParams) -> None:
    raw = bytes(80)
    assert prediction(TransposePredictor(), case_of(raw, GOOD, 20)) == raw
    with pytest.raises(IntegrityError):
        prediction(TransposePredictor(), case_of(raw, params, 20))


@pytest.mark.parametrize("cut", [0, 11, 21, 23])
def test_parameters_that_were_cut_or_extended_are_damage(cut: int) -> None:
    params = (GOOD.encode() + b"\0")[:cut]
    with pytest.raises(IntegrityError):
        prediction(TransposePredictor(), Case(params, [bytes(80)], 80, DType.F32))
