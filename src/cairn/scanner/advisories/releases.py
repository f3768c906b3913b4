"""Releases of programs in their order: `2.10.0` after `2.9`, `b8146` after `b999`."""

import re
from functools import cache

from cairn.domain import AffectedRange

_NUMBERS = re.compile(r"\d{1,18}")


@cache
def release_order(release: str) -> tuple[int, ...]:
    """What to sort a release by: its numbers up to the first word such as `rc`, without zeros."""
    text = release.split("!")[-1]
    plain = re.match(r"[A-Za-z]?[\d.]*", text)
    numbers = [int(one) for one in _NUMBERS.findall(plain.group() if plain else "")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def is_affected(release: str, affected: AffectedRange) -> bool:
    """Whether a release is in a range."""
    at = release_order(release)
    if at < release_order(affected.introduced):
        return False
    if affected.fixed:
        return at < release_order(affected.fixed)
    if affected.last_affected:
        return at <= release_order(affected.last_affected)
    return True
