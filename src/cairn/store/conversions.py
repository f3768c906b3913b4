"""Which predictor makes a tensor of one type from a stored one of the same or another type."""

from typing import NamedTuple

from cairn.domain import DType
from cairn.store.predictors.cast import cast_params
from cairn.store.predictors.cast_f8 import cast_f8_params
from cairn.store.predictors.quantise import quantise_params


class Conversion(NamedTuple):
    """A predictor's name and the parameters it needs."""

    predictor: str
    params: bytes


def conversion(base: DType, target: DType) -> Conversion | None:
    """How to predict a tensor of type `target` from one of type `base`; None if nothing does."""
    if base is target:
        return Conversion("same", b"")
    if (params := cast_params(base, target)) is not None:
        return Conversion("cast", params)
    if (params := cast_f8_params(base, target)) is not None:
        return Conversion("cast-f8", params)
    if (params := quantise_params(base, target)) is not None:
        return Conversion("quantise", params)
    return None
