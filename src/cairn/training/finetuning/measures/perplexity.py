"""How surprised a language model is by texts: the exponential of the mean loss of a token."""

import math
from collections.abc import Sequence

_LARGEST = 700.0  # its exponential is still a number


def perplexity(texts: Sequence[tuple[float, int]]) -> float:
    """Of texts, each with the sum of its tokens' losses and their count; 1 is best, no limit."""
    tokens = sum(count for _, count in texts)
    if not tokens:
        return math.nan
    mean = math.fsum(loss for loss, _ in texts) / tokens
    return math.exp(mean) if mean < _LARGEST else math.inf
