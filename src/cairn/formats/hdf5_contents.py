"""The tensors, attributes and oddities of a whole HDF5 file, found by walking its groups.

Every object is visited once, under the first of its names: further hard links and cycles are
noted. Names are the paths of datasets with dots for slashes, as other formats spell them.
"""

from dataclasses import dataclass, field, replace
from itertools import pairwise

from cairn.domain import Role, Scalar, Source, Span, Storage, TensorInfo
from cairn.errors import LimitError, MalformedError
from cairn.formats.hdf5_addresses import Addresses
from cairn.formats.hdf5_attributes import Attribute, Attributes
from cairn.formats.hdf5_datasets import Datasets
from cairn.formats.hdf5_groups import is_group, links
from cairn.formats.hdf5_objects import ATTRIBUTE, DATASPACE, ObjectHeader
from cairn.formats.limits import (
    MAX_ALL_NAMES_CHARS,
    MAX_DEPTH,
    MAX_METADATA_ITEMS,
    MAX_METADATA_KEY_CHARS,
    MAX_METADATA_VALUE_CHARS,
    MAX_NAME_CHARS,
    MAX_TENSORS,
)
from cairn.formats.naming import is_deceptive, printable
from cairn.formats.notes import Notes
from cairn.formats.roles import role_of_flat_name

_KERAS_BUFFERS = frozenset(("moving_mean", "moving_variance"))


@dataclass(slots=True)
class Hdf5Contents:
    """What a file holds; `attributes` has the scalar ones in full, by dotted path of the object."""

    tensors: list[TensorInfo] = field(default_factory=list)
    storages: tuple[Storage, ...] = ()
    metadata: dict[str, Scalar] = field(default_factory=dict)
    notes: Notes = field(default_factory=Notes)
    attributes: dict[str, dict[str, Scalar]] = field(default_factory=dict)


def read_contents(source: Source) -> Hdf5Contents:
    """Walk the file.

    Raises:
        MalformedError: a structure is broken, or bytes belong to two datasets.
        LimitError: more of anything than a sound file has.
    """
    walk = _Walk(source)
    walk.run()
    walk.contents.storages = _storages(walk.contents.tensors, source)
    return walk.contents


def role_of_path(path: str) -> Role:
    """The role of a dataset by its dotted path, Keras' conventions included."""
    parts = path.split(".")
    if parts[0] == "optimizer_weights" or (len(parts) > 1 and parts[0] == "optimizer"):
        return Role.OPTIMIZER
    if any(part.startswith("seed_generator") for part in parts[:-1]):
        return Role.RNG
    if parts[-1].partition(":")[0] in _KERAS_BUFFERS:
        return Role.BUFFERS
    return role_of_flat_name(path)


class _Walk:
    def __init__(self, source: Source) -> None:
        self.contents = Hdf5Contents()
        self._notes = self.contents.notes
        self._addresses = Addresses(source)
        self._attributes = Attributes(self._addresses, self._notes)
        self._datasets = Datasets(self._addresses, self._notes)
        self._seen: dict[int, str] = {}
        self._name_chars = 0

    def run(self) -> None:
        waiting: list[tuple[int, str, int]] = [(self._addresses.root, "", 0)]
        while waiting:
            address, path, depth = waiting.pop()
            if depth > MAX_DEPTH:
                raise self._limit(f"groups nested deeper than {MAX_DEPTH}")
            if address in self._seen:
                first = self._seen[address] or "the outermost group"
                self._notes.add(f"{path!r} is another name of {first!r} and is left out")
                continue
            self._seen[address] = path
            header = ObjectHeader(self._addresses, address)
            found = self._keep_attributes(path, header)
            if is_group(header):
                below = list(self._members(path, header))
                waiting += ((at, name, depth + 1) for at, name in reversed(below))
            elif header.first(DATASPACE) is not None:
                self._list(path, header, found)

    def _members(self, path: str, header: ObjectHeader) -> list[tuple[int, str]]:
        found = []
        for link in links(self._addresses, header, self._notes):
            name = f"{path}.{link.name}" if path else link.name
            self._name_chars += len(name)
            if len(name) > MAX_NAME_CHARS or self._name_chars > MAX_ALL_NAMES_CHARS:
                raise self._limit("the names of its objects are too long")
            if is_deceptive(name):
                self._notes.add("names contain control or invisible characters")
            if link.address is None:
                self._notes.add(f"{name!r} is a link ({link.kind}) and is not followed")
            else:
                found.append((link.address, name))
        # Dense groups list members by hash.
        return sorted(found, key=_in_order)

    # --- attributes --------------------------------------------------------------------

    def _keep_attributes(self, path: str, header: ObjectHeader) -> dict[str, Scalar]:
        scalars: dict[str, Scalar] = {}
        for attribute in self._attributes.of(header):
            shown = _shown(attribute)
            if attribute.values is not None and len(attribute.values) == 1:
                scalars[attribute.name] = attribute.values[0]
            if len(self.contents.metadata) >= MAX_METADATA_ITEMS:
                self._notes.add(f"only the first {MAX_METADATA_ITEMS} attributes are kept")
                continue
            if isinstance(shown, str):
                if len(shown) > MAX_METADATA_VALUE_CHARS:
                    self._notes.add("long metadata values are cut")
                shown = printable(shown, MAX_METADATA_VALUE_CHARS)
            key = f"{path}.{attribute.name}" if path else attribute.name
            self.contents.metadata[printable(key, MAX_METADATA_KEY_CHARS)] = shown
        if scalars or header.first(ATTRIBUTE) is not None:
            self.contents.attributes[path] = scalars
        return scalars

    # --- datasets ----------------------------------------------------------------------

    def _list(self, path: str, header: ObjectHeader, attributes: dict[str, Scalar]) -> None:
        if len(self.contents.tensors) >= MAX_TENSORS:
            raise self._limit(f"more than {MAX_TENSORS} datasets")
        keras_dtype = attributes.get("dtype")
        found = self._datasets.tensor(path, header, is_bfloat16=keras_dtype == "bfloat16")
        if isinstance(found, str):
            self._notes.add(f"dataset {path!r} is left out: {found}")
        else:
            self.contents.tensors.append(replace(found, role=role_of_path(path)))

    def _limit(self, why: str) -> LimitError:
        return LimitError(why, source=self._addresses.source.name)


def _in_order(member: tuple[int, str]) -> tuple[int, str]:
    """Names that are numbers, as Keras has them, by their value."""
    name = member[1].rpartition(".")[2]
    return len(name) if name.isdecimal() else 0, name


def _shown(attribute: Attribute) -> Scalar:
    if attribute.values is None:
        return attribute.words
    if attribute.scalar:
        return attribute.values[0]
    return ", ".join(str(value) for value in attribute.values)


def _storages(tensors: list[TensorInfo], source: Source) -> tuple[Storage, ...]:
    """The runs of bytes that hold tensors; chunks that touch are one run."""
    found: list[Storage] = []
    for tensor in tensors:
        spans = sorted(piece.span for piece in tensor.pieces) or [tensor.span]
        start, stop = spans[0].start, spans[0].start
        for span in spans:
            if span.start == stop:
                stop = span.stop
                continue
            found.append(Storage(Span(start, stop), tensor.dtype))
            start, stop = span.start, span.stop
        found.append(Storage(Span(start, stop), tensor.dtype))
    found = sorted((s for s in found if s.span.size_bytes), key=lambda storage: storage.span)
    for before, after in pairwise(found):
        if after.span.start < before.span.stop:
            raise MalformedError(
                "bytes belong to two datasets or chunks",
                source=source.name,
                offset=after.span.start,
            )
    return tuple(found)
