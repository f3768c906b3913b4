"""The tree of values a torch pickle builds, walked once: its tensors by dotted name, the rest flat.

Every container is visited once however often it is referenced, without recursion, so the
work is bounded by the pickle's size.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from cairn.domain import Role, Scalar, TensorInfo
from cairn.errors import LimitError
from cairn.formats.limits import (
    MAX_ALL_NAMES_CHARS,
    MAX_DEPTH,
    MAX_LISTED_VALUES,
    MAX_METADATA_ITEMS,
    MAX_METADATA_KEY_CHARS,
    MAX_NAME_CHARS,
    MAX_TENSORS,
)
from cairn.formats.naming import is_deceptive, printable
from cairn.formats.notes import Notes
from cairn.formats.pickle_program import Call, Mapping, Members, Value
from cairn.formats.pickle_values import call_target
from cairn.formats.pickled_scalars import called_scalar, is_leaf, shown
from cairn.formats.roles import role_of_key, role_of_leaf, role_of_members
from cairn.formats.torch_tensors import Rebuilt, TorchTensors

# Attributes of torch.nn.Module that only group: state_dict() leaves them out of names as well.
_PARAMETERS = "_parameters"
_MODULE_GROUPS = frozenset((_PARAMETERS, "_buffers", "_modules"))
# nn.Module.state_dict() hangs the version number of every submodule on its OrderedDict.
_VERSIONS = "_metadata"
_PLAIN_MODULES = ("builtins.", "__builtin__.", "collections.")
_MAX_CLASSES_NAMED = 5


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
    """Walks a value; afterwards `tensors` and `metadata` hold what was found, in file order."""

    def __init__(self, resolver: TorchTensors, source: str, notes: Notes) -> None:
        self.tensors: list[TensorInfo] = []
        self.metadata: dict[str, Scalar] = {}
        self._resolver = resolver
        self._source = source
        self._notes = notes
        self._seen: set[int] = set()
        self._names: Counter[str] = Counter()
        self._names_chars = 0
        self._classes: dict[str, None] = {}
        self._metadata_cut = False

    def walk(self, root: Value, role: Role | None) -> None:
        """Visit everything reachable from `root`; `role` is what the file's name says, if anything.

        Raises:
            MalformedError: a tensor is impossible.
            LimitError: too many tensors, too long names, too deep nesting.
        """
        # Iterators, not lists: a list of millions is followed one element at a time.
        pending = [iter([_Place(root, "", None, 0, role)])]
        while pending:
            place = next(pending[-1], None)
            if place is None:
                pending.pop()
            elif is_leaf(place.value):
                self._remember(place.prefix, place.key, place.value)
            elif not (isinstance(place.value, Call) and self._is_taken(place, place.value)):
                pending.append(self._children(place))
        self._conclude()

    def _is_taken(self, place: _Place, call: Call) -> bool:
        """Whether a call made tensors or one plain value, which is then recorded."""
        rebuilt = self._resolver.rebuilt(call)
        if rebuilt is not None:
            if rebuilt.note:
                self._notes.add(f"holds {rebuilt.note}")
            if rebuilt.views:
                self._list(place, rebuilt)
                return True
        scalar = called_scalar(call)
        if scalar is not None:
            self._remember(place.prefix, place.key, scalar)
        return scalar is not None

    def _children(self, place: _Place) -> Iterator[_Place]:
        """What a container holds, the first time it is met."""
        value = place.value
        if id(value) in self._seen:
            if not isinstance(value, tuple):
                self._notes.add("containers referenced from several places are listed once")
            return
        self._seen.add(id(value))
        if place.depth >= MAX_DEPTH:
            raise LimitError(f"values nested deeper than {MAX_DEPTH}", source=self._source)
        prefix = self._join(place.prefix, place.key)
        match value:
            case Mapping(items=items):
                yield from self._pairs(place, prefix, items)
            case list() | tuple():
                yield from self._sequence(place, prefix, value)
            case Members(elements=elements):
                yield from self._sequence(place, prefix, elements)
            case Call():
                yield from self._parts(place, prefix, value)

    # --- children ----------------------------------------------------------------------

    def _pairs(
        self, place: _Place, prefix: str, items: list[Value], *, of_object: bool = False
    ) -> Iterator[_Place]:
        """The values of a dict; a key given twice counts with its last value, as in Python."""
        last: dict[tuple[type, str], Value] = {}
        for at in range(0, len(items) - 1, 2):
            key = items[at]
            last[type(key), _key_text(key, at // 2)] = items[at + 1]
        if len(last) < len(items) // 2:
            self._notes.add("dictionaries name a key more than once")
        role = place.role or role_of_members((key for _, key in last), top=not place.depth)
        module = place.module
        if of_object and module is None and (str, _PARAMETERS) in last:
            module = prefix
        for (_, key), value in last.items():
            if of_object and key == _VERSIONS:
                continue
            segment = None if of_object and key in _MODULE_GROUPS else key
            below = role or role_of_key(key)
            yield _Place(value, prefix, segment, place.depth + 1, below, module)

    def _sequence(
        self, place: _Place, prefix: str, values: list[Value] | tuple[Value, ...]
    ) -> Iterator[_Place]:
        is_index = place.key == "params" and place.role is Role.OPTIMIZER
        if (is_index or len(values) > MAX_LISTED_VALUES) and all(
            is_leaf(value) for value in values
        ):
            self._remember(prefix, None, f"[{len(values)} values]")
            return
        for index, value in enumerate(values):
            yield _Place(value, prefix, str(index), place.depth + 1, place.role, place.module)

    def _parts(self, place: _Place, prefix: str, call: Call) -> Iterator[_Place]:
        """What hangs on a call that is no tensor: items and elements, state, arguments."""
        target = call_target(call)
        args = call.args if isinstance(call.args, tuple) else ()
        if target in ("collections.OrderedDict", "builtins.dict", "__builtin__.dict"):
            args = tuple(_flattened_pairs(args))
            yield from self._pairs(place, prefix, list(args))
        elif target != "collections.defaultdict":
            made = _made_class(call, target)
            if not made.startswith(_PLAIN_MODULES) and len(self._classes) <= _MAX_CLASSES_NAMED:
                self._classes[made or "an unnamed class"] = None
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
            if isinstance(state, Mapping):
                yield from self._pairs(place, prefix, state.items, of_object=True)
            else:
                yield _Place(state, prefix, None, place.depth + 1, place.role, place.module)

    # --- what was found ----------------------------------------------------------------

    def _list(self, place: _Place, rebuilt: Rebuilt) -> None:
        base = self._join(place.prefix, place.key)
        container = place.prefix if place.module is None else place.module
        for suffix, view in rebuilt.views:
            name = self._unique((base + suffix).lstrip(".") or "tensor")
            self.tensors.append(
                TensorInfo(
                    name=name,
                    dtype=view.dtype,
                    shape=view.shape,
                    span=view.span,
                    role=role_of_leaf((place.key or "",), place.role),
                    strides=view.strides,
                    container=printable(container, MAX_NAME_CHARS),
                )
            )
        for fact, scalar in rebuilt.facts:
            self._remember(base, fact, scalar)
        if len(self.tensors) > MAX_TENSORS:
            raise LimitError(f"more than {MAX_TENSORS} tensors", source=self._source)

    def _unique(self, name: str) -> str:
        name = printable(name, MAX_NAME_CHARS)
        if is_deceptive(name):
            self._notes.add("tensor names contain control or invisible characters")
        met = self._names[name]
        self._names[name] += 1
        self._names_chars += len(name)
        if self._names_chars > MAX_ALL_NAMES_CHARS:
            raise LimitError(
                f"tensor names of more than {MAX_ALL_NAMES_CHARS} characters", source=self._source
            )
        if not met:
            return name
        self._notes.add("several tensors have one name; the later ones carry a number")
        return self._unique(f"{name}#{met + 1}")

    def _join(self, prefix: str, key: str | None) -> str:
        if key is None:
            return prefix
        if len(prefix) + len(key) >= MAX_NAME_CHARS:
            raise LimitError(
                f"a dotted name of more than {MAX_NAME_CHARS} characters", source=self._source
            )
        return f"{prefix}.{key}" if prefix else key

    def _remember(self, prefix: str, key: str | None, leaf: Value) -> None:
        if len(self.metadata) >= MAX_METADATA_ITEMS:
            self._metadata_cut = True
            return
        parts = [part for part in (prefix, (key or "")[:MAX_METADATA_KEY_CHARS]) if part]
        name = printable(".".join(parts) or "value", MAX_METADATA_KEY_CHARS)
        self.metadata[name] = shown(leaf)

    def _conclude(self) -> None:
        if self._metadata_cut:
            self._notes.add(f"more than {MAX_METADATA_ITEMS} values; the first are kept")
        if self._classes:
            named = ", ".join(list(self._classes)[:_MAX_CLASSES_NAMED])
            more = " and others" if len(self._classes) > _MAX_CLASSES_NAMED else ""
            self._notes.add(f"unpickling would make objects of {named}{more}")


def _key_text(key: Value, index: int) -> str:
    """A dict key as a segment of a dotted name."""
    if isinstance(key, str):
        return key
    return str(shown(key)) if is_leaf(key) else f"key{index}"


def _flattened_pairs(args: tuple[Value, ...]) -> Iterator[Value]:
    """Keys and values of `OrderedDict([[key, value], ...])`, as Python 2 pickled it."""
    if args and isinstance(args[0], list):
        for pair in args[0]:
            if isinstance(pair, (list, tuple)) and len(pair) == 2:
                yield from pair


def _made_class(call: Call, target: str) -> str:
    """The class a call makes an object of: `copyreg._reconstructor` takes it as an argument."""
    if target in ("copyreg._reconstructor", "copy_reg._reconstructor"):
        match call.args:
            case (first, *_):
                return str(shown(first))[:200] if is_leaf(first) else target
    return target[:200]
