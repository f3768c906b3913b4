"""How far a pickle's value reaches: values reached in all, and how deep they nest.

A few opcodes can put one list ten times into another, and that one ten times into a third, until
whoever prints, copies or compares the value never ends ("billion laughs").
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from cairn.formats.pickle_program import Call, Mapping, Members, Payload, PersistentId, Value


class Extent(NamedTuple):
    """Values counted as often as they are reached, and containers inside each other."""

    nodes: int
    depth: int


# A container may hold one that holds it: a module its parent. One that does so over and over is
# endless to whoever walks over it and does not remember, in far fewer steps than a chain.
_MOST_BACK = 32
_ENDLESS = 1 << 62

_Counts = tuple[int, int]  # what `Extent` has; made for each container, so without a name
_INSIDE_ITSELF: _Counts = (1, 0)


def extent_of(value: Value) -> Extent:
    """The extent of a value; what contains itself counts once there. Linear in the pickle."""
    known: dict[int, _Counts] = {id(value): _INSIDE_ITSELF}
    values, inner = _inside(value)
    path = [(value, values, inner, iter(inner))]
    while path:
        owner, values, inner, rest = path[-1]
        for child in rest:
            if id(child) in known:
                continue
            values_there, inner_there = _inside(child)
            if inner_there:
                known[id(child)] = _INSIDE_ITSELF
                path.append((child, values_there, inner_there, iter(inner_there)))
                break
            known[id(child)] = (1 + len(values_there), 1)
        else:
            path.pop()
            known[id(owner)] = _counts(len(values), [known[id(one)] for one in inner])
    return Extent(*known[id(value)])


def _inside(owner: Value) -> tuple[Sequence[Value], list[Value]]:
    """The values in a container, and those of them that are containers."""
    parts = _PARTS.get(type(owner))
    values = parts(owner) if parts else ()
    return values, [value for value in values if type(value) in _PARTS]


def _counts(values: int, inner: list[_Counts]) -> _Counts:
    """The extent of a container with so many values, from those of the containers among them."""
    nodes = depth = back = 0
    for one in inner:
        nodes += one[0]
        depth = max(depth, one[1])
        back += one is _INSIDE_ITSELF
    if back > _MOST_BACK:
        return _ENDLESS, 1 + depth
    return 1 + values - len(inner) + nodes, 1 + depth


def _parts_of_call(call: Any) -> list[Value]:
    given = (call.states, call.items, call.elements)
    return [call.callee, call.args, call.kwargs, *(one for some in given for one in some or ())]


_PARTS: dict[type[Value], Callable[[Any], Sequence[Value]]] = {
    tuple: lambda value: value,
    list: lambda value: value,
    Mapping: attrgetter("items"),
    Members: attrgetter("elements"),
    PersistentId: lambda value: (value.id,),
    Call: _parts_of_call,
}
"""What each kind of container holds."""


def plain_values(roots: Iterable[Value]) -> Iterator[Value]:
    """Every text, bytes object and long integer that can be reached, each container once."""
    seen: set[int] = set()
    waiting = list(roots)
    while waiting:
        value = waiting.pop()
        kind = type(value)
        if kind in _PLAIN or (type(value) is int and value.bit_length() > _SHORT_BITS):
            yield value
        elif kind in _PARTS and id(value) not in seen:
            seen.add(id(value))
            waiting.extend(_PARTS[kind](value))


_PLAIN = frozenset((str, bytes, Payload))
_SHORT_BITS = 64
