"""Bounds of a template's values: how long a text or list, how large a number could be.

What nobody knows, such as a message, counts as 1: bounds say what a template makes of that. The
`inner` bound is of the elements of a list, and of a number's reciprocal.
"""

from collections.abc import Callable, Iterable
from math import inf, log10
from re import compile as pattern
from typing import NamedTuple

UNKNOWN, NUMBER, TEXT, LIST = "unknown", "number", "text", "list"

_MOST_DIGITS = 300  # beyond which a float is infinite
_PRINTED_NUMBER = 25
_WIDTH = pattern(r"%(?:\([^)]*\))?[#0 +-]*(?:\d*\.)?(\d{1,18})")
_ANY_WIDTH = 1e18


class Bound(NamedTuple):
    """A value's bound; `text` is what it is, where it is a constant text.

    `total` is of all elements of a list together, where that is less than each as large as it may
    be: of the pieces of a text.
    """

    size: float
    inner: float = 1
    kind: str = UNKNOWN
    inside: str = UNKNOWN
    text: str | None = None
    total: float = inf

    @property
    def whole(self) -> float:
        """All elements together."""
        return min(self.total, self.size * self.inner)

    def element(self) -> "Bound":
        """What it holds, or is made of."""
        if self.kind in (NUMBER, TEXT):
            return ONE
        return Bound(self.inner, self.inner, self.inside)

    def resized(self, size: float) -> "Bound":
        """The same of another size."""
        return self._replace(size=size, text=None, total=inf)


ONE = Bound(1)


class Space(dict[str, Bound]):
    """What templates change in place: a namespace, a dictionary, or a list under an empty key."""

    def bound(self) -> Bound:
        """As one value."""
        return self.get("") or of_list(self.values())


Value = Bound | Space


def bound_of(value: Value) -> Bound:
    """The bound of a value of either kind."""
    return value.bound() if isinstance(value, Space) else value


def of_constant(value: object) -> Bound:
    """The bound of a constant."""
    match value:
        case str():
            return Bound(max(1, len(value)), 1, TEXT, text=value)
        case bool() | None:
            return Bound(1, 1, NUMBER)
        case int() | float():
            size = min(abs(value), inf) if abs(value) < 10**_MOST_DIGITS else inf
            return Bound(max(1, size), 1 / size if 0 < size < 1 else 1, NUMBER)
    return ONE


def of_list(items: Iterable[Bound]) -> Bound:
    """The bound of a list or dictionary of these."""
    known = list(items)
    inner = max((max(one.size, one.inner) for one in known), default=1)
    kinds = {one.kind for one in known}
    inside = kinds.pop() if len(kinds) == 1 else UNKNOWN
    total = sum(max(one.size, one.whole) for one in known)
    return Bound(max(1, len(known)), inner, LIST, inside, total=max(1, total))


def wider(one: Bound, other: Bound) -> Bound:
    """What holds for either."""
    if one == other:
        return one
    kinds = {one.kind, other.kind} - {NUMBER}
    kind = NUMBER if not kinds else kinds.pop() if len(kinds) == 1 else UNKNOWN
    inside = one.inside if one.inside == other.inside else UNKNOWN
    total = max(one.whole, other.whole)
    return Bound(max(one.size, other.size), max(one.inner, other.inner), kind, inside, total=total)


def joined(one: Bound, other: Bound) -> Bound:
    """A sum, or one behind the other."""
    kinds = {one.kind, other.kind}
    if NUMBER in kinds:
        kind = NUMBER if kinds <= {NUMBER, UNKNOWN} else TEXT
    else:
        kind = TEXT if TEXT in kinds else UNKNOWN if UNKNOWN in kinds else LIST
    inside = one.inside if one.inside == other.inside else UNKNOWN
    total = one.whole + other.whole
    return Bound(one.size + other.size, max(one.inner, other.inner), kind, inside, total=total)


def put_together(parts: Iterable[Bound]) -> Bound:
    """A text of some values."""
    return Bound(sum(map(printed, parts)), 1, TEXT)


def printed(bound: Bound) -> float:
    """How many characters it has as text."""
    if bound.kind == NUMBER:
        return min(bound.size, _PRINTED_NUMBER)
    return max(bound.size, bound.whole) if bound.kind == LIST else bound.size


def times(one: Bound, other: Bound) -> Bound:
    """A product, or a text or list over and over."""
    kinds = {one.kind, other.kind}
    kind = next((each for each in (TEXT, LIST, UNKNOWN) if each in kinds), NUMBER)
    inner = one.inner * other.inner if kind == NUMBER else max(one.inner, other.inner)
    return Bound(one.size * other.size, inner, kind, one.inside if one.kind == LIST else UNKNOWN)


def divided(one: Bound, other: Bound) -> Bound:
    """A quotient: large where the divisor is small."""
    by = other.inner if other.kind == NUMBER else 1
    return Bound(one.size * by, one.inner * other.size, NUMBER)


def raised(one: Bound, other: Bound) -> Bound:
    """A power."""
    digits = other.size * log10(one.size) if 1 < one.size < inf else 0
    size = one.size**other.size if digits < _MOST_DIGITS else inf
    return Bound(size, 1, NUMBER)


def formatted(one: Bound, other: Bound) -> Bound:
    """A remainder, or what `%` makes of a text: one that is put together may hold any width."""
    if one.kind != TEXT:
        return Bound(max(one.size, other.size), 1, one.kind)
    if one.text is None:
        return Bound(_ANY_WIDTH, 1, TEXT)
    widths = [int(width) for width in _WIDTH.findall(one.text)]
    given = max([1, other.size, other.inner] if "*" in one.text else [1, printed(other)])
    return Bound(one.size + one.text.count("%") * max([given, *widths]), 1, TEXT)


def transformed(name: str, owner: Bound, given: list[Bound]) -> Bound:
    """What a filter or method of this name makes of a value."""
    made = _TRANSFORMATIONS.get(name)
    return owner._replace(text=None) if made is None else made(owner, given)


def _length(owner: Bound, given: list[Bound]) -> Bound:
    del given
    return Bound(owner.size, 1, NUMBER)


def _number(owner: Bound, given: list[Bound]) -> Bound:
    del given
    if owner.kind != TEXT:
        return owner._replace(kind=NUMBER)
    if owner.text is None:
        return Bound(10 ** min(owner.size, _MOST_DIGITS), 1, NUMBER)
    try:
        return of_constant(float(owner.text))
    except ValueError:
        return Bound(1, 1, NUMBER)


def _joined_by(owner: Bound, given: list[Bound]) -> Bound:
    """Elements with a separator: the filter is given that, the method these."""
    other = given[0] if given else Bound(0)
    swapped = other.kind == LIST or (owner.kind == TEXT and given)
    items, between = (other, owner) if swapped else (owner, other)
    return Bound(max(items.size, items.whole) + items.size * between.size, 1, TEXT)


def _replaced(owner: Bound, given: list[Bound]) -> Bound:
    old, new = (*given, ONE, ONE)[:2]
    if owner.text is not None and old.text:
        found: float = owner.text.count(old.text)
    else:
        found = owner.size / max(1, len(old.text or ""))
    return Bound(owner.size + found * new.size, 1, TEXT if owner.kind == TEXT else UNKNOWN)


def _padded(owner: Bound, given: list[Bound]) -> Bound:
    return owner.resized(max([owner.size, *(one.size for one in given if one.kind != TEXT)]))


def _indented(owner: Bound, given: list[Bound]) -> Bound:
    lines = owner.size if owner.text is None else owner.text.count("\n") + 1
    return Bound(owner.size + lines * max([4.0, *(one.size for one in given)]), 1, TEXT)


def _or_default(owner: Bound, given: list[Bound]) -> Bound:
    return wider(owner, given[-1]) if given else owner


def _split(owner: Bound, given: list[Bound]) -> Bound:
    """The pieces of a text, which are not longer than it is, all of them together."""
    width = max([1, *(len(one.text or "") for one in given[:1])])
    kind = LIST if owner.kind == TEXT else UNKNOWN
    return Bound(max(1, owner.size / width), owner.size, kind, TEXT, total=owner.size)


def _added_up(owner: Bound, given: list[Bound]) -> Bound:
    del given
    return Bound(owner.size * owner.inner, owner.inner, owner.inside)


def _listed(owner: Bound, given: list[Bound]) -> Bound:
    del given
    return Bound(owner.size, 1, LIST, TEXT) if owner.kind == TEXT else owner


def _as_text(owner: Bound, given: list[Bound]) -> Bound:
    del given
    return Bound(printed(owner), 1, UNKNOWN if owner.kind == UNKNOWN else TEXT)


_TRANSFORMATIONS: dict[str, Callable[[Bound, list[Bound]], Bound]] = {
    **dict.fromkeys(("length", "count", "wordcount", "find", "index", "rfind"), _length),
    **dict.fromkeys(("int", "float"), _number),
    **dict.fromkeys(("abs", "round"), lambda owner, _: owner._replace(kind=NUMBER)),
    "join": _joined_by,
    "replace": _replaced,
    **dict.fromkeys(
        ("center", "ljust", "rjust", "zfill", "batch", "slice", "wordwrap", "truncate"), _padded
    ),
    "indent": _indented,
    **dict.fromkeys(("default", "d", "get", "setdefault"), _or_default),
    **dict.fromkeys(
        ("first", "last", "random", "min", "max", "pop"), lambda owner, _: owner.element()
    ),
    "sum": _added_up,
    **dict.fromkeys(("split", "rsplit", "splitlines", "partition", "rpartition"), _split),
    "list": _listed,
    **dict.fromkeys(("string", "tojson", "pprint"), _as_text),
}
