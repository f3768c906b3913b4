"""Whether numbers are in the order of others: Spearman's rank correlation, ties at their mean rank.

https://en.wikipedia.org/wiki/Spearman%27s_rank_correlation_coefficient
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]


def spearman(found: Sequence[float], true: Sequence[float]) -> float:
    """From -1 to 1; NaN where one side has a single value."""
    mine, its = _ranks(np.asarray(found)), _ranks(np.asarray(true))
    mine, its = mine - mine.mean(), its - its.mean()
    scale = float(np.sqrt((mine**2).sum() * (its**2).sum()))
    return float((mine * its).sum()) / scale if scale else float("nan")


def _ranks(values: Any) -> Floats:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: Floats = (ends - (counts - 1) / 2)[places]
    return ranks
