"""Calls in pickles that make far more than the pickle holds: `bytearray(2**40)` takes nine bytes.

All of them are of harmless names: only their arguments make them attacks on memory and time.
"""

import re
from collections.abc import Iterable, Iterator
from math import prod

from cairn.formats.pickle_program import Call, Global, Payload, Value

# More elements than an array of numbers in a checkpoint's settings has; 256 MiB of zeros.
_MOST = 1 << 28

# `decimal.MAX_EMAX` of the default context is 999,999; IEEE 754 goes to 6,144.
_MOST_EXPONENT = 10_000
_EXPONENT = re.compile(r"[0-9._]+e[+-]?([0-9_]+)", re.IGNORECASE)

_OF_A_LENGTH = frozenset(
    f"{module}.{name}" for module in ("builtins", "__builtin__") for name in ("bytes", "bytearray")
)
_RANGES = frozenset(("builtins.range", "__builtin__.xrange"))
_NUMBERS = frozenset(("fractions.Fraction", "decimal.Decimal"))
_OF_A_SHAPE = frozenset(
    (
        *("numpy.ndarray", "numpy.core.multiarray._reconstruct"),
        *("numpy._core.multiarray._reconstruct",),
    )
)


def sizes_asked_for(calls: Iterable[Call]) -> Iterator[tuple[Call, int]]:
    """Calls that make more than `_MOST` values or digits, and how many."""
    for call in calls:
        if type(call.args) is tuple:
            size = _size(_name(call), call.args)
            if size > _MOST:
                yield call, size


def steers_a_logger(call: Call) -> bool:
    """Whether attributes of a logger are set, which the whole process shares."""
    return _name(call) == "logging.getLogger" and bool(call.states or call.items or call.elements)


def _size(name: str, args: tuple[Value, ...]) -> int:
    if name in _OF_A_LENGTH:
        return max((_number(value) for value in args[:1]), default=0)
    if name in _NUMBERS:
        return max((_MOST * (_exponent(value) > _MOST_EXPONENT) + _exponent(value))
                   for value in (*args[:1], 0))  # fmt: skip
    if name in _OF_A_SHAPE:
        return max((prod(map(_number, value)) for value in args if type(value) is tuple), default=0)
    return sum(_elements(value) for value in args if type(value) is Call)


def _elements(value: Call) -> int:
    """Of a range that is handed to whoever walks over it."""
    if _name(value) not in _RANGES or type(value.args) is not tuple:
        return 0
    bounds = [_number(bound) for bound in value.args]
    if len(bounds) == 1:
        return bounds[0]
    step = abs(bounds[2]) if len(bounds) > 2 else 1
    return abs(bounds[1] - bounds[0]) // (step or 1) if len(bounds) > 1 else 0


def _number(value: Value) -> int:
    """An integer as it is; one too long to be held is beyond any size."""
    if isinstance(value, Payload) and value.kind == "int":
        return 1 << 63
    return value if isinstance(value, int) else 0


def _exponent(value: Value) -> int:
    found = _EXPONENT.fullmatch(value.strip()) if isinstance(value, str) else None
    return int(found[1][:20].replace("_", "") or 0) if found else 0


def _name(call: Call) -> str:
    callee = call.callee
    return callee.full_name if isinstance(callee, Global) and callee.exact else ""
