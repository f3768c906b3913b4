"""The predictors, one per file."""

from cairn.plugins import Registry
from cairn.store.predictor import Predictor
from cairn.store.predictors.cast import CastPredictor
from cairn.store.predictors.cast_f8 import CastF8Predictor
from cairn.store.predictors.columns import ColumnsPredictor
from cairn.store.predictors.decay import DecayPredictor
from cairn.store.predictors.low_rank import LowRankPredictor
from cairn.store.predictors.quantise import QuantisePredictor
from cairn.store.predictors.same import SamePredictor
from cairn.store.predictors.then import ThenPredictor
from cairn.store.predictors.transpose import TransposePredictor

_SINGLE: tuple[Predictor, ...] = (
    SamePredictor(),
    CastPredictor(),
    CastF8Predictor(),
    ColumnsPredictor(),
    DecayPredictor(),
    LowRankPredictor(),
    QuantisePredictor(),
    TransposePredictor(),
)

PREDICTORS: Registry[Predictor] = Registry("predictor", [*_SINGLE, ThenPredictor(_SINGLE)])

__all__ = [
    "PREDICTORS",
    "CastF8Predictor",
    "CastPredictor",
    "ColumnsPredictor",
    "DecayPredictor",
    "LowRankPredictor",
    "QuantisePredictor",
    "SamePredictor",
    "ThenPredictor",
    "TransposePredictor",
]
