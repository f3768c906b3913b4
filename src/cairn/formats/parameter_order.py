"""The order in which a model's code defines its parameters, which is how optimizers number them.

Files of torch keep it. Files of safetensors are sorted by name, so there it has to be known from
the family: `query` comes before `key`, `embeddings` before `encoder`.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from cairn.formats.recognition import FAMILIES

# Adapters are modules inside the adapted one, and come after its own parameters.
_ADAPTERS = ("base_layer", "lora_dropout", "lora_A", "lora_B", "default")
_WRAPPERS = ("base_model", "model", "module", "_orig_mod", "student", "teacher")


def defined_orders(names: Sequence[str], family: str | None) -> list[list[str]]:
    """The orders in which a model of the family (by name) may define these parameters.

    Without a family the order is any family's that knows every name, if all that do agree.
    """
    found: list[list[str]] = []
    for each in FAMILIES:
        if family in (None, each.name):
            for order in each.orders:
                ranked = _ranked(names, order)
                if ranked is not None and ranked not in found:
                    found.append(ranked)
    return found if family is not None or len(found) == 1 else []


def _ranked(names: Iterable[str], order: Sequence[str]) -> list[str] | None:
    """Names sorted by the rank of their segments; None if siblings cannot be told apart.

    Where two names part, both segments must be numbers or both be in the order.
    """
    ranks = {segment: at for at, segment in enumerate((*_WRAPPERS, *order, *_ADAPTERS))}
    keyed = sorted(((_key(name, ranks), name) for name in names), key=lambda pair: pair[0])
    for (before, _), (after, _) in pairwise(keyed):
        if not _are_told_apart(before, after):
            return None
    return [name for _, name in keyed]


# A segment as (kind, rank, text): numbers count, known names rank, others only have a text.
_Segment = tuple[int, int, str]
_NUMBER, _KNOWN, _UNKNOWN = range(3)


def _key(name: str, ranks: dict[str, int]) -> tuple[_Segment, ...]:
    return tuple(_segment(segment, ranks) for segment in name.split("."))


def _segment(text: str, ranks: dict[str, int]) -> _Segment:
    if text.isdecimal() and text.isascii() and len(text) < 10:
        return (_NUMBER, int(text), "")
    if text in ranks:
        return (_KNOWN, ranks[text], "")
    return (_UNKNOWN, 0, text)


def _are_told_apart(before: tuple[_Segment, ...], after: tuple[_Segment, ...]) -> bool:
    for one, other in zip(before, after, strict=False):
        if one != other:
            return one[0] == other[0] != _UNKNOWN
    return False
