"""How often a class was right: accuracy, and F1 as the mean over classes.

https://en.wikipedia.org/wiki/F-score; a class that is neither there nor found counts in no mean.
"""

from collections import Counter
from collections.abc import Sequence


def class_measures(pairs: Sequence[tuple[int, int]]) -> dict[str, float]:
    """`accuracy` and `f1` (macro), from 0 to 1, of pairs of what was found and what is true."""
    right = Counter(true for found, true in pairs if found == true)
    found_of = Counter(found for found, _ in pairs)
    true_of = Counter(true for _, true in pairs)
    scores = [
        2 * right[one] / (found_of[one] + true_of[one])
        for one in sorted(found_of.keys() | true_of.keys())
    ]
    return {"accuracy": sum(right.values()) / len(pairs), "f1": sum(scores) / len(scores)}
