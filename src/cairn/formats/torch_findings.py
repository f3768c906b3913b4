"""What a walk through a torch pickle found: tensors, plain values, modules, all within limits."""

from collections import Counter
from dataclasses import replace

from cairn.domain import Piece, Role, Scalar, Span, TensorInfo
from cairn.errors import LimitError
from cairn.formats.limits import (
    MAX_ALL_NAMES_CHARS,
    MAX_METADATA_ITEMS,
    MAX_METADATA_KEY_CHARS,
    MAX_MODULES,
    MAX_NAME_CHARS,
    MAX_SECTIONS,
    MAX_TENSORS,
)
from cairn.formats.naming import is_deceptive, printable
from cairn.formats.notes import Notes
from cairn.formats.pickle_program import Value
from cairn.formats.pickled_arrays import Rebuilt
from cairn.formats.pickled_scalars import shown
from cairn.formats.roles import role_of_key, role_of_leaf
from cairn.formats.strided_views import View

_MAX_CLASSES_NAMED = 5


class Findings:
    """Collects in the order of the walk; `metadata` and `modules` are whole after `conclude`."""

    def __init__(self, source: str, notes: Notes) -> None:
        self.tensors: list[TensorInfo] = []
        self.metadata: dict[str, Scalar] = {}
        self.modules: dict[str, str] = {}
        self.sections: dict[str, Role] = {}
        self._settings: dict[str, Scalar] = {}
        self._source = source
        self._notes = notes
        self._names: Counter[str] = Counter()
        self._names_chars = 0
        self._classes: dict[str, None] = {}
        self._metadata_cut = False

    def joined(self, prefix: str, key: str | None) -> str:
        """The dotted name of `key` in `prefix`; the prefix itself where there is no key."""
        if key is None:
            return prefix
        if len(prefix) + len(key) >= MAX_NAME_CHARS:
            raise LimitError(
                f"a dotted name of more than {MAX_NAME_CHARS} characters", source=self._source
            )
        return f"{prefix}.{key}" if prefix else key

    def add_tensors(
        self, prefix: str, key: str | None, container: str, role: Role | None, rebuilt: Rebuilt
    ) -> None:
        """List what one rebuild call gave; `role` is what the containers around it said."""
        base = self.joined(prefix, key)
        for suffix, view in rebuilt.views:
            name = self._unique((base + suffix).lstrip(".") or "tensor")
            given = role_of_leaf(key or "", role, view.shape)
            self.tensors.append(_tensor(name, view, given, printable(container, MAX_NAME_CHARS)))
        for fact, scalar in rebuilt.facts:
            self.add_value(base, fact, scalar)
        if len(self.tensors) > MAX_TENSORS:
            raise LimitError(f"more than {MAX_TENSORS} tensors", source=self._source)

    def add_value(self, prefix: str, key: str | None, leaf: Value) -> None:
        """Keep a plain value, as long as there are not too many."""
        if len(self.metadata) >= MAX_METADATA_ITEMS:
            self._metadata_cut = True
            return
        self.metadata[_flat_key(prefix, key) or "value"] = shown(leaf)

    def add_setting(self, path: str, key: str, value: Scalar) -> None:
        """Keep an argument a module was made with; they come after all other metadata."""
        if len(self._settings) >= MAX_METADATA_ITEMS:
            self._metadata_cut = True
            return
        self._settings[_flat_key(path, key)] = value

    def add_module(self, path: str, class_name: str) -> None:
        """Keep the class of the module at a path."""
        if len(self.modules) >= MAX_MODULES:
            self._notes.add(f"more than {MAX_MODULES} modules; the first are named")
            return
        self._count_chars(len(path) + len(class_name))
        path = printable(path, MAX_NAME_CHARS)
        self.modules[path] = printable(class_name, MAX_METADATA_KEY_CHARS)

    def add_section(self, path: str, role: Role) -> None:
        """Keep what a container is for, also where it holds no tensors."""
        if len(self.sections) < MAX_SECTIONS:
            self.sections[printable(path, MAX_METADATA_KEY_CHARS)] = role

    def add_class(self, class_name: str) -> None:
        """Remember that unpickling would make an object of a class."""
        if len(self._classes) <= _MAX_CLASSES_NAMED:
            self._classes[class_name] = None

    def conclude(self) -> None:
        """Put the metadata together and remark on what was left out."""
        self._set_apart_numbers()
        for key, value in self._settings.items():
            if len(self.metadata) >= MAX_METADATA_ITEMS:
                self._metadata_cut = True
                break
            self.metadata.setdefault(key, value)
        if self._metadata_cut:
            self._notes.add(f"more than {MAX_METADATA_ITEMS} values; the first are kept")
        if self._classes:
            named = ", ".join(list(self._classes)[:_MAX_CLASSES_NAMED])
            more = " and others" if len(self._classes) > _MAX_CLASSES_NAMED else ""
            self._notes.add(f"unpickling would make objects of {named}{more}")

    def _set_apart_numbers(self) -> None:
        """Single numbers beside a dictionary of weights (`best_acc1`) are not weights."""
        weights = [tensor for tensor in self.tensors if tensor.role is Role.WEIGHTS]
        if any(role_of_key(t.container.partition(".")[0]) is Role.WEIGHTS for t in weights):
            self.tensors = [
                replace(tensor, role=Role.METADATA)
                if tensor.role is Role.WEIGHTS and not tensor.container and not tensor.shape
                else tensor
                for tensor in self.tensors
            ]

    def _unique(self, name: str) -> str:
        name = printable(name, MAX_NAME_CHARS)
        if is_deceptive(name):
            self._notes.add("tensor names contain control or invisible characters")
        met = self._names[name]
        self._names[name] += 1
        self._count_chars(len(name))
        if not met:
            return name
        self._notes.add("several tensors have one name; the later ones carry a number")
        return self._unique(f"{name}#{met + 1}")

    def _count_chars(self, chars: int) -> None:
        self._names_chars += chars
        if self._names_chars > MAX_ALL_NAMES_CHARS:
            raise LimitError(
                f"names of more than {MAX_ALL_NAMES_CHARS} characters", source=self._source
            )


def _tensor(name: str, view: View, role: Role, container: str) -> TensorInfo:
    pieces: tuple[Piece, ...] = ()
    span = view.span
    if view.encoding:
        start = (0,) * len(view.shape)
        pieces = (Piece(view.span, start, view.shape, encoding=view.encoding),)
        span = Span(0, 0)
    return TensorInfo(
        name=name,
        dtype=view.dtype,
        shape=view.shape,
        span=span,
        role=role,
        strides=view.strides,
        pieces=pieces,
        big_endian=view.big_endian,
        container=container,
    )


def _flat_key(prefix: str, key: str | None) -> str:
    parts = [part for part in (prefix, (key or "")[:MAX_METADATA_KEY_CHARS]) if part]
    return printable(".".join(parts), MAX_METADATA_KEY_CHARS)
