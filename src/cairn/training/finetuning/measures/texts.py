"""How far written texts are from true ones: errors of words and letters, ROUGE-L, exact match.

Word error rate is edits per true word (https://en.wikipedia.org/wiki/Word_error_rate); ROUGE-L is
the F1 of the longest common subsequence of words (Lin, "ROUGE", 2004,
https://aclanthology.org/W04-1013/), here of words in lower case without punctuation.
"""

import re
from collections.abc import Sequence

_WORD = re.compile(r"\w+")
Pairs = Sequence[tuple[str, str]]
"""What was found, and what is true."""


def error_rates(pairs: Pairs) -> dict[str, float]:
    """`wer` and `cer`: edits over all true words and letters; 0 is best, and it may exceed 1."""
    return {
        "wer": _rate([(found.split(), true.split()) for found, true in pairs]),
        "cer": _rate(pairs),
    }


def written_measures(pairs: Pairs) -> dict[str, float]:
    """`rougeL` and `exact_match`, from 0 to 1, as means over texts."""
    scores = [_rouge(_WORD.findall(f.lower()), _WORD.findall(t.lower())) for f, t in pairs]
    exact = [found.strip() == true.strip() for found, true in pairs]
    return {"rougeL": sum(scores) / len(pairs), "exact_match": sum(exact) / len(pairs)}


def _rate(pairs: Sequence[tuple[Sequence[str], Sequence[str]]]) -> float:
    length = sum(len(true) for _, true in pairs)
    edits = sum(edit_distance(found, true) for found, true in pairs)
    return edits / length if length else float(edits > 0)


def edit_distance(one: Sequence[str], other: Sequence[str]) -> int:
    """Fewest insertions, deletions and replacements from one to the other (Levenshtein)."""
    row = list(range(len(other) + 1))
    for at, mine in enumerate(one, 1):
        diagonal, row[0] = row[0], at
        for to, its in enumerate(other, 1):
            diagonal, row[to] = (
                row[to],
                min(row[to] + 1, row[to - 1] + 1, diagonal + (mine != its)),
            )
    return row[-1]


def _rouge(found: Sequence[str], true: Sequence[str]) -> float:
    if not found or not true:
        return float(found == true)
    return 2 * _common(found, true) / (len(found) + len(true))


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """The length of the longest common subsequence."""
    row = [0] * (len(other) + 1)
    for mine in one:
        diagonal = 0
        for to, its in enumerate(other, 1):
            diagonal, row[to] = (
                row[to],
                diagonal + 1 if mine == its else max(row[to], row[to - 1]),
            )
    return row[-1]
