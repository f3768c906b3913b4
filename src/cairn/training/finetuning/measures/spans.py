"""Named spans found and true: precision, recall and F1 of whole spans, as CoNLL counts them.

A span is found if its class, start and end are true. Tags are `B-` and `I-` with a class, and `O`;
an `I-` that continues nothing begins a span, and a tag without prefix is the class of a span of
equal neighbours. https://aclanthology.org/W03-0419/
"""

from collections.abc import Iterator, Sequence

OUTSIDE = "O"
Span = tuple[str, int, int]
"""Class, first token, and the token behind the last."""


def spans(tags: Sequence[str]) -> Iterator[Span]:
    """The spans that tags of one text say, in their order."""
    kind, start = "", 0
    for at, tag in enumerate((*tags, OUTSIDE)):
        prefix, name = _parts(tag)
        if kind and (prefix != "I" or name != kind):
            yield kind, start, at
            kind = ""
        if not kind and name:
            kind, start = name, at


def _parts(tag: str) -> tuple[str, str]:
    """`B` or `I`, and the class; empty for what is outside."""
    if tag == OUTSIDE:
        return "", ""
    if tag[:2] in ("B-", "I-"):
        return tag[0], tag[2:]
    return "I", tag


def span_measures(pairs: Sequence[tuple[Sequence[str], Sequence[str]]]) -> dict[str, float]:
    """`precision`, `recall`, `f1` (micro) and `accuracy` of tokens, of found and true tags."""
    right = found_count = true_count = tokens = same = 0
    for found, true in pairs:
        mine, its = set(spans(found)), set(spans(true))
        right += len(mine & its)
        found_count += len(mine)
        true_count += len(its)
        tokens += len(true)
        same += sum(one == other for one, other in zip(found, true, strict=True))
    return {
        "precision": right / found_count if found_count else 0.0,
        "recall": right / true_count if true_count else 0.0,
        "f1": 2 * right / (found_count + true_count) if found_count + true_count else 0.0,
        "accuracy": same / tokens if tokens else 0.0,
    }
