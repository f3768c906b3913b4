"""Objects as a pickle program would make them, looked into without making them.

Dataclasses, enums and dictionaries are calls and records here; these functions give their
fields, entries and numbers, and nothing where a value is of another kind.
"""

from collections.abc import Iterator

from cairn.formats.limits import MAX_AXES
from cairn.formats.pickle_program import Call, Mapping, Value
from cairn.formats.pickle_values import call_target
from cairn.formats.torch_storages import is_size, is_torch_size

_DICTS = ("collections.OrderedDict", "builtins.dict", "collections.defaultdict")


def entries(value: Value) -> Iterator[tuple[Value, Value]]:
    """Keys and values of a dictionary in the order they were set, repeated keys included."""
    items: list[Value] = []
    if isinstance(value, Mapping):
        items = value.items
    elif isinstance(value, Call) and call_target(value) in _DICTS:
        items = value.items or []
    for at in range(0, len(items) - 1, 2):
        yield items[at], items[at + 1]


def named(value: Value) -> dict[str, Value]:
    """The entries of a dictionary under strings; a key set twice has its last value."""
    return {key: found for key, found in entries(value) if isinstance(key, str)}


def fields(value: Value) -> dict[str, Value]:
    """The attributes an object is given by name when it is unpickled."""
    found: dict[str, Value] = {}
    if isinstance(value, Call):
        for state in value.states or ():
            found.update(named(state))
    return found


def sequence(value: Value) -> list[Value] | tuple[Value, ...]:
    """The elements of a list or tuple."""
    return value if isinstance(value, (list, tuple)) else ()


def sizes(value: Value) -> tuple[int, ...] | None:
    """A `torch.Size`, tuple or list of at most `MAX_AXES` integers from 0 to 2**63-1."""
    if isinstance(value, Call) and is_torch_size(value) and isinstance(value.args, tuple):
        value = value.args[0] if value.args else ()
    if not isinstance(value, (tuple, list)) or len(value) > MAX_AXES:
        return None
    found = tuple(n for n in value if isinstance(n, int) and is_size(n))
    return found if len(found) == len(value) else None
