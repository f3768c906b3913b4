"""The tree of values a torch pickle builds, walked once: its tensors by dotted name, the rest flat.

Every container is visited once however often it is referenced, without recursion, so the
work is bounded by the pickle's size.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from cairn.domain import Role
from cairn.errors import LimitError
from cairn.formats.limits import MAX_DEPTH, MAX_LISTED_VALUES
from cairn.formats.notes import Notes
from cairn.formats.pickle_program import Call, Mapping, Members, Value
from cairn.formats.pickle_values import call_target
from cairn.formats.pickled_scalars import called_scalar, is_leaf, shown
from cairn.formats.roles import role_of_entry, role_of_members
from cairn.formats.torch_findings import Findings
from cairn.formats.torch_modules import (
    GROUPS,
    VERSIONS,
    is_internal,
    is_module_state,
    made_class,
    setting,
)
from cairn.formats.torch_tensors import TorchTensors

_PLAIN_MODULES = ("builtins.", "__builtin__.", "collections.")


@dataclass(frozen=True, slots=True)
class _Place:
    """A value still to visit. `prefix` is the dotted name of its container, built once.

    `module` is the dotted name of the outermost pickled module around it, None outside of any.
    """

    value: Value
    prefix: str
    key: str | None
    depth: int
    role: Role | None
    module: str | None = None


class TorchTree:
    """Walks a value; afterwards `found` holds tensors, metadata and modules, in file order."""

    def __init__(
        self, resolver: TorchTensors, source: str, notes: Notes, found: Findings | None = None
    ) -> None:
        self.found = Findings(source, notes) if found is None else found
        self._resolver = resolver
        self._source = source
        self._notes = notes
        self._seen: set[int] = set()

    def walk(self, root: Value, role: Role | None, prefix: str = "") -> None:
        """Visit everything reachable from `root`, which is called `prefix`.

        `role` is what the file's name says, if anything.

        Raises:
            MalformedError: a tensor is impossible.
            LimitError: too many tensors, too long names, too deep nesting.
        """
        if role is not None:
            self.found.add_section(prefix, role)
        # Iterators, not lists: a list of millions is followed one element at a time.
        pending = [iter([_Place(root, prefix, None, 0, role)])]
        while pending:
            place = next(pending[-1], None)
            if place is None:
                pending.pop()
            elif is_leaf(place.value):
                self.found.add_value(place.prefix, place.key, place.value)
            elif not (isinstance(place.value, Call) and self._is_taken(place, place.value)):
                pending.append(self._children(place))
        self.found.conclude()

    def _is_taken(self, place: _Place, call: Call) -> bool:
        """Whether a call made tensors or one plain value, which is then recorded."""
        rebuilt = self._resolver.rebuilt(call)
        if rebuilt is not None:
            if rebuilt.note:
                self._notes.add(f"holds {rebuilt.note}")
            if rebuilt.views:
                container = place.prefix if place.module is None else place.module
                self.found.add_tensors(place.prefix, place.key, container, place.role, rebuilt)
                return True
        scalar = called_scalar(call)
        if scalar is not None:
            self.found.add_value(place.prefix, place.key, scalar)
        return scalar is not None

    def _children(self, place: _Place) -> Iterator[_Place]:
        """What a container holds, the first time it is met."""
        value = place.value
        if not self._is_new(value):
            return
        if place.depth >= MAX_DEPTH:
            raise LimitError(f"values nested deeper than {MAX_DEPTH}", source=self._source)
        prefix = self.found.joined(place.prefix, place.key)
        match value:
            case Mapping(items=items):
                yield from self._pairs(place, prefix, items)
            case list() | tuple():
                yield from self._sequence(place, prefix, value)
            case Members(elements=elements):
                yield from self._sequence(place, prefix, elements)
            case Call():
                yield from self._parts(place, prefix, value)

    def _is_new(self, value: Value) -> bool:
        """Whether a container is met for the first time. `()` is one object wherever it stands."""
        if id(value) in self._seen:
            if not isinstance(value, tuple):
                self._notes.add("containers referenced from several places are listed once")
            return False
        self._seen.add(id(value))
        return True

    # --- children ----------------------------------------------------------------------

    def _pairs(self, place: _Place, prefix: str, items: list[Value]) -> Iterator[_Place]:
        """The values of a dict, plain ones first: they are kept when there are too many."""
        last = self._last(items)
        role = role_of_members((key for _, key in last), place.role, top=not place.depth)
        if role is not None and role is not place.role:
            self.found.add_section(prefix, role)
        for plain in (True, False):
            for (_, key), value in last.items():
                if is_leaf(value) is plain:
                    below = role_of_entry(prefix, key, role)
                    if below is not None and below is not role and not plain:
                        self.found.add_section(self.found.joined(prefix, key), below)
                    yield _Place(value, prefix, key, place.depth + 1, below, place.module)

    def _last(self, items: list[Value]) -> dict[tuple[type, str], Value]:
        """Keys to values; a key given twice counts with its last value, as in Python."""
        last: dict[tuple[type, str], Value] = {}
        for at in range(0, len(items) - 1, 2):
            key = items[at]
            last[type(key), _key_text(key, at // 2)] = items[at + 1]
        if len(last) < len(items) // 2:
            self._notes.add("dictionaries name a key more than once")
        return last

    def _sequence(
        self, place: _Place, prefix: str, values: list[Value] | tuple[Value, ...]
    ) -> Iterator[_Place]:
        is_index = place.key == "params" and place.role is Role.OPTIMIZER
        if (is_index or len(values) > MAX_LISTED_VALUES) and all(
            is_leaf(value) for value in values
        ):
            self.found.add_value(prefix, None, f"[{len(values)} values]")
            return
        for index, value in enumerate(values):
            yield _Place(value, prefix, str(index), place.depth + 1, place.role, place.module)

    def _parts(self, place: _Place, prefix: str, call: Call) -> Iterator[_Place]:
        """What hangs on a call that is no tensor: items and elements, state, arguments."""
        target = call_target(call)
        # Arguments and states may be shared by many calls; what is in them is listed once.
        args = call.args if isinstance(call.args, tuple) and self._is_new(call.args) else ()
        if target in ("collections.OrderedDict", "builtins.dict", "__builtin__.dict"):
            args = tuple(_flattened_pairs(args))
            yield from self._pairs(place, prefix, list(args))
        elif target != "collections.defaultdict":
            made = made_class(call)
            if not made.startswith(_PLAIN_MODULES):
                self.found.add_class(made or "an unnamed class")
            for index, value in enumerate(args):
                if not is_leaf(value):
                    yield _Place(
                        value, prefix, str(index), place.depth + 1, place.role, place.module
                    )
        if call.items:
            yield from self._pairs(place, prefix, call.items)
        if call.elements:
            yield from self._sequence(place, prefix, call.elements)
        for state in call.states or ():
            if not isinstance(state, Mapping):
                yield _Place(state, prefix, None, place.depth + 1, place.role, place.module)
            elif not self._is_new(state):
                continue
            elif is_module_state(state):
                self.found.add_module(prefix, made_class(call))
                yield from self._module(place, prefix, state)
            else:
                yield from self._pairs(place, prefix, _without_versions(state.items))

    def _module(self, place: _Place, prefix: str, state: Mapping) -> Iterator[_Place]:
        """A module's parameters, buffers and submodules, and how it was made."""
        role = Role.WEIGHTS if place.role in (None, Role.METADATA) else place.role
        within = prefix if place.module is None else place.module
        for (_, key), value in self._last(state.items).items():
            if key in GROUPS:
                below = GROUPS[key] if role is Role.WEIGHTS else role
                yield _Place(value, prefix, None, place.depth + 1, below, within)
                continue
            if is_internal(key, value):
                continue
            said = setting(value)
            if said is not None:
                self.found.add_setting(prefix, key, said)
            elif not is_leaf(value):
                # A tensor that is a plain attribute is kept, like a buffer, and not trained.
                below = Role.BUFFERS if role is Role.WEIGHTS else role
                yield _Place(value, prefix, key, place.depth + 1, below, within)


def _key_text(key: Value, index: int) -> str:
    """A dict key as a segment of a dotted name."""
    if isinstance(key, str):
        return key
    return str(shown(key)) if is_leaf(key) else f"key{index}"


def _without_versions(items: list[Value]) -> list[Value]:
    pairs = zip(items[::2], items[1::2], strict=False)
    return [part for key, value in pairs if key != VERSIONS for part in (key, value)]


def _flattened_pairs(args: tuple[Value, ...]) -> Iterator[Value]:
    """Keys and values of `OrderedDict([[key, value], ...])`, as Python 2 pickled it."""
    if args and isinstance(args[0], list):
        for pair in args[0]:
            if isinstance(pair, (list, tuple)) and len(pair) == 2:
                yield from pair
