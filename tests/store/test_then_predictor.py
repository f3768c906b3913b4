"""The predictor `then`: the conformance suite, and one predictor after the other by hand."""

from collections.abc import Iterator

import numpy as np
import pytest

from cairn.domain import DType
from cairn.errors import IntegrityError
from cairn.store.predictors import (
    PREDICTORS,
    CastPredictor,
    QuantisePredictor,
    ThenPredictor,
    TransposePredictor,
)
from cairn.store.predictors.cast import cast_params
from cairn.store.predictors.quantise import quantise_params
from cairn.store.predictors.then import MAX_BETWEEN_BYTES, then_params
from cairn.store.predictors.transpose import TransposeParams
from cairn.testing.predictors import Case, PredictorSuite, prediction

TURNED = TransposeParams(4, 0, (64, 96), (1, 0))
BETWEEN = 64 * 96 * 4
THEN = ThenPredictor([TransposePredictor(), CastPredictor(), QuantisePredictor()])


def plain_of(seed: int) -> bytes:
    return np.random.default_rng(seed).normal(0, 1, (64, 96)).astype("<f4").tobytes()


def cast() -> bytes:
    return cast_params(DType.F32, DType.BF16) or b""


def turned_and(second: str, params: bytes) -> bytes:
    return then_params("transpose", TURNED.encode(), DType.F32, BETWEEN, second, params)


class TestThen(PredictorSuite):
    predictor = THEN

    def cases(self, seed: int) -> Iterator[Case]:
        plain = plain_of(seed)
        bases = [plain[:1_000], plain[1_000:]]
        yield Case(turned_and("cast", cast()), bases, 64 * 96 * 2, DType.BF16)
        quantised = quantise_params(DType.F32, DType.Q8_0) or b""
        yield Case(turned_and("quantise", quantised), bases, 64 * 96 // 32 * 34, DType.Q8_0)


def test_the_second_gets_what_the_first_makes() -> None:
    plain = plain_of(1)
    turned = prediction(TransposePredictor(), Case(TURNED.encode(), [plain], BETWEEN, DType.F32))
    for second, dtype, size in (
        (CastPredictor(), DType.BF16, BETWEEN // 2),
        (QuantisePredictor(), DType.Q4_0, 64 * 96 // 32 * 18),
    ):
        params = bytes([1])  # from F32
        wanted = prediction(second, Case(params, [turned], size, dtype))
        case = Case(turned_and(second.name, params), [plain], size, dtype)
        assert prediction(THEN, case) == wanted
        assert prediction(PREDICTORS.get("then"), case) == wanted


@pytest.mark.parametrize(
    "params",
    [
        turned_and("then", cast()),
        turned_and("none", cast()),
        then_params("then", TURNED.encode(), DType.F32, BETWEEN, "cast", cast()),
        then_params("transpose", TURNED.encode(), DType.F32, BETWEEN + 4, "cast", cast()),
        then_params("transpose", TURNED.encode(), DType.F32, MAX_BETWEEN_BYTES + 4, "cast", cast()),
        turned_and("cast", cast())[:55],
        turned_and("cast", cast())[:16] + b"F33" + bytes(13) + turned_and("cast", cast())[32:],
        turned_and("cast", cast())[:52] + b"\xff\xff\xff\xff" + turned_and("cast", cast())[56:],
    ],
)
def test_what_names_no_two_predictors_is_damage(params: bytes) -> None:
    with pytest.raises(IntegrityError):
        prediction(THEN, Case(params, [plain_of(1)], BETWEEN // 2, DType.BF16))
