"""How long one element of a NumPy array is, records of several fields included.

    type    '<f4' | [field, ...] | (type, shape)
    field   (name, type) | (name, type, shape)

Specification: `dtype.descr` in https://numpy.org/doc/stable/reference/generated/numpy.dtype.descr.html.
"""

import re
from math import prod
from typing import NamedTuple

from cairn.errors import MalformedError
from cairn.formats.python_literals import Literal

_DESCR = re.compile(r"[<>|=]?([a-zA-Z])([0-9]{0,9})(\[[a-zA-Z0-9]+\])?\Z")
_POINTER_BYTES = 8
_TEXT_BYTES = 4  # per character


class Element(NamedTuple):
    """Bytes of one element, and whether there are Python objects in it, which a pickle holds."""

    size_bytes: int
    has_objects: bool


def element_of(descr: Literal, source: str) -> Element:
    """What an element of this type is.

    Raises:
        MalformedError: `descr` is no type.
    """
    match descr:
        case str():
            return _plain(descr, source)
        case list():
            return _joined([_field(field, source) for field in descr])
        case (inner, shape):
            return _repeated(element_of(inner, source), shape, source)
    raise _refusal(descr, source)


def _plain(descr: str, source: str) -> Element:
    found = _DESCR.match(descr)
    if found is None:
        raise _refusal(descr, source)
    kind, width, _ = found.groups()
    if kind == "O":
        return Element(_POINTER_BYTES, has_objects=True)
    if not width:
        raise _refusal(descr, source)
    return Element(int(width) * (_TEXT_BYTES if kind == "U" else 1), has_objects=False)


def _field(field: Literal, source: str) -> Element:
    match field:
        case (_, inner):
            return element_of(inner, source)
        case (_, inner, shape):
            return _repeated(element_of(inner, source), shape, source)
    raise _refusal(field, source)


def _repeated(element: Element, shape: Literal, source: str) -> Element:
    axes = shape if isinstance(shape, tuple) else (shape,)
    sizes = [axis for axis in axes if isinstance(axis, int) and axis >= 0]
    if len(sizes) != len(axes):
        raise _refusal(shape, source)
    return Element(element.size_bytes * prod(sizes), element.has_objects)


def _joined(fields: list[Element]) -> Element:
    size_bytes = sum(field.size_bytes for field in fields)
    return Element(size_bytes, any(field.has_objects for field in fields))


def _refusal(what: Literal, source: str) -> MalformedError:
    return MalformedError(f"{what!r:.60} is no type of array elements", source=source)
