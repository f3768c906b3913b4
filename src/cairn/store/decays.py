"""Recognises moments that decayed: which factor and how many steps lie between two saves."""

import math

import numpy as np
import numpy.typing as npt

from cairn.store.predictors.decay import MAX_STEPS, MULTIPLY, TOWARDS_ZERO, decay_params

# The betas that people use: Adam's and AdamW's defaults in torch, and those of the language model
# recipes after GPT-3 (https://arxiv.org/abs/2005.14165), of BERT and of RoBERTa.
BETAS = (0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9995, 0.9999)

# Values that decayed by the same steps have the same ratio but for their roundings: half a unit of
# the last place, 2**-24, for each of at most `MAX_STEPS` steps.
_TOLERANCE = 2e-5

# Fewer than this share with one ratio are chance.
_MIN_SHARE = 0.005
_MIN_ALIKE = 12


def decays_between(before: npt.NDArray[np.float32], after: npt.NDArray[np.float32]) -> list[bytes]:
    """Parameters of the decays that may have led from one to the other; mostly none.

    `before` and `after` are samples (n,) of the same moments at two saves.
    """
    ratio = _common_ratio(before, after)
    if ratio is None:
        return []
    found = []
    for beta in BETAS:
        steps = round(math.log(ratio) / math.log(beta))
        if 1 <= steps <= MAX_STEPS and abs(beta**steps / ratio - 1) < 3 * _TOLERANCE:
            found.append(decay_params(MULTIPLY, steps, beta))
            found.append(decay_params(TOWARDS_ZERO, steps, 1 - beta))
    return found


def share_a_ratio(before: npt.NDArray[np.float32], after: npt.NDArray[np.float32]) -> bool:
    """Whether many of these values (n,) have shrunk by one ratio: a decay is worth looking for."""
    return _common_ratio(before, after) is not None


def _common_ratio(before: npt.NDArray[np.float32], after: npt.NDArray[np.float32]) -> float | None:
    """The ratio that most values have shrunk by, if many share one."""
    with np.errstate(all="ignore"):
        ratios = after.astype("<f8") / before
    ratios = np.sort(ratios[(ratios > 0) & (ratios < 1)])
    if len(ratios) < _MIN_SHARE * len(before) or not len(ratios):
        return None
    alike = np.searchsorted(ratios, ratios * (1 + _TOLERANCE)) - np.arange(len(ratios))
    first = int(alike.argmax())
    if alike[first] < max(_MIN_ALIKE, _MIN_SHARE * len(before)):
        return None
    return float(np.median(ratios[first : first + int(alike[first])]))
