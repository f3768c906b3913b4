"""How far a pickle's value reaches: values reached in all, and how deep they nest.

A few opcodes can put one list ten times into another, and that one ten times into a third, until
whoever prints, copies or compares the value never ends ("billion laughs").
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from cairn.formats.pickle_program import Call, Mapping, Members, Payload, PersistentId, Value


class Extent(NamedTuple):
    """Values counted as often as they are reached, and containers inside each other."""

    nodes: int
    depth: int


_CONTAINERS = frozenset((tuple, list, Mapping, Members, Call, PersistentId))
_INSIDE_ITSELF = Extent(1, 0)
# A container may hold one that holds it: a module its parent. One that does so over and over is
# endless to whoever walks over it and does not remember, in far fewer steps than a chain.
_MOST_BACK = 32
_ENDLESS = 1 << 62


class _Visit:
    """A container whose inner ones are being measured."""

    __slots__ = ("inner", "owner", "plain", "rest")

    def __init__(self, owner: Value) -> None:
        values = _values_in(owner)
        self.owner = owner
        self.inner = [value for value in values if type(value) in _CONTAINERS]
        self.plain = len(values) - len(self.inner)
        self.rest: Iterator[Value] = iter(self.inner)


def extent_of(value: Value) -> Extent:
    """The extent of a value; what contains itself counts once there. Linear in the pickle."""
    known = {id(value): _INSIDE_ITSELF}
    path = [_Visit(value)]
    while path:
        visit = path[-1]
        child = next((one for one in visit.rest if id(one) not in known), None)
        if child is not None:
            known[id(child)] = _INSIDE_ITSELF
            path.append(_Visit(child))
            continue
        path.pop()
        extents = [known[id(one)] for one in visit.inner]
        endless = len(extents) > _MOST_BACK and (
            sum(extent is _INSIDE_ITSELF for extent in extents) > _MOST_BACK
        )
        known[id(visit.owner)] = Extent(
            _ENDLESS if endless else 1 + visit.plain + sum(extent.nodes for extent in extents),
            1 + max((extent.depth for extent in extents), default=0),
        )
    return known[id(value)]


def _values_in(value: Value) -> list[Value]:
    match value:
        case tuple() | list():
            return list(value)
        case Mapping(items=values) | Members(elements=values):
            return values
        case Call():
            given = [*(value.states or ()), *(value.items or ()), *(value.elements or ())]
            return [value.callee, value.args, value.kwargs, *given]
        case PersistentId():
            return [value.id]
    return []


def plain_values(roots: Iterable[Value]) -> Iterator[Value]:
    """Every text and bytes object that can be reached, each container once."""
    seen: set[int] = set()
    waiting = list(roots)
    while waiting:
        value = waiting.pop()
        if type(value) in (str, bytes, Payload):
            yield value
        elif type(value) in _CONTAINERS and id(value) not in seen:
            seen.add(id(value))
            waiting.extend(_values_in(value))
