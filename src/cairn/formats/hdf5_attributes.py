"""The attributes of HDF5 objects: scalars and strings, those in a global heap included.

    attribute message    version 1: version, reserved, bytes of name, type and space (2 each), then
                         the three, each padded to 8 bytes, then the value
                         versions 2, 3: flags for reserved, no padding; 3: a character set first
    `GCOL` global heap   4 signature, version, reserved (3), bytes in all (L), then objects: number
                         (2), references (2), reserved (4), bytes (L), data padded to 8
    varying string       bytes (4), address of a `GCOL` (A), number of its object (4)

Specification: https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html
(III.E, IV.A.2.m, v).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from cairn.domain import DType, Scalar
from cairn.formats.hdf5_addresses import Addresses, Fields
from cairn.formats.hdf5_dense import dense_records
from cairn.formats.hdf5_objects import ATTRIBUTE, ATTRIBUTE_INFO, ObjectHeader
from cairn.formats.hdf5_types import ElementType, parse_dataspace, parse_datatype
from cairn.formats.limits import MAX_LISTED_VALUES
from cairn.formats.notes import Notes

_ATTRIBUTE_NAME_INDEX = 8  # the kind of B-tree that lists many attributes
_SHARED_TYPE_FLAG = 1
_FORMATS = {
    DType.BOOL: "?",
    DType.I8: "b",
    DType.U8: "B",
    DType.I16: "h",
    DType.U16: "H",
    DType.I32: "i",
    DType.U32: "I",
    DType.I64: "q",
    DType.U64: "Q",
    DType.F16: "e",
    DType.F32: "f",
    DType.F64: "d",
}


@dataclass(frozen=True, slots=True)
class Attribute:
    """A named value: its elements, or the words for what they are and how many there are."""

    name: str
    values: tuple[Scalar, ...] | None
    words: str = ""
    scalar: bool = True


class Attributes:
    """Reads attributes of one file; collections of its global heap are read once."""

    def __init__(self, addresses: Addresses, notes: Notes) -> None:
        self._addresses = addresses
        self._notes = notes
        self._collections: dict[int, dict[int, Fields]] = {}

    def of(self, header: ObjectHeader) -> Iterator[Attribute]:
        """The attributes of an object.

        Raises:
            MalformedError: one is broken.
        """
        for _, fields in header.all(ATTRIBUTE):
            yield self._attribute(fields)
        info = header.first(ATTRIBUTE_INFO)
        if info is None:
            return
        info.take(1)
        info.take(2 if info.number(1) & 1 else 0)
        heap, index = info.address(), info.address()
        if heap is None or index is None:
            return
        for body in dense_records(
            self._addresses, heap, index, kind=_ATTRIBUTE_NAME_INDEX, notes=self._notes
        ):
            yield self._attribute(body)

    def _attribute(self, fields: Fields) -> Attribute:
        version, flags = fields.number(1), fields.number(1)
        if version not in (1, 2, 3):
            raise fields.refusal(f"attribute version {version} is not known")
        name_bytes, type_bytes, space_bytes = (fields.number(2) for _ in range(3))
        fields.take(1 if version == 3 else 0)
        step = 8 if version == 1 else 1
        raw = fields.take(name_bytes + -name_bytes % step)
        name = fields.text(raw[:name_bytes].split(b"\0")[0])
        kind = fields.within(type_bytes + -type_bytes % step, "the type of an attribute")
        space = fields.within(space_bytes + -space_bytes % step, "the shape of an attribute")
        if version > 1 and flags & _SHARED_TYPE_FLAG:
            return Attribute(name, None, "a value of a named type")
        element, shape = parse_datatype(kind), parse_dataspace(space)
        if shape is None:
            return Attribute(name, None, "empty")
        count = prod(shape)
        if count > MAX_LISTED_VALUES:
            return Attribute(name, None, f"{count} {element.words or 'numbers'}")
        if count * element.size_bytes > fields.remaining:
            raise fields.refusal(f"{count} elements of {element.size_bytes} bytes do not fit it")
        if not element.string and element.dtype not in _FORMATS:
            return Attribute(name, None, element.words or "numbers")
        values = tuple(
            self._value(element, fields.within(element.size_bytes, f"attribute {name[:100]!r}"))
            for _ in range(count)
        )
        return Attribute(name, values, scalar=not shape)

    def _value(self, element: ElementType, fields: Fields) -> Scalar:
        if element.string == "fixed":
            return _shown(fields.take(fields.remaining).split(b"\0")[0])
        if element.string == "varying":
            return self._heap_string(fields)
        assert element.dtype is not None
        order = ">" if element.big_endian else "<"
        raw = fields.take(element.size_bytes)
        value: Scalar = struct.unpack(order + _FORMATS[element.dtype], raw)[0]
        return value

    def _heap_string(self, fields: Fields) -> str:
        length, address, number = fields.number(4), fields.address(), fields.number(4)
        if not length or not address:
            return ""
        if address not in self._collections:
            self._collections[address] = self._collection(address)
        found = self._collections[address].get(number)
        if found is None:
            raise fields.refusal(f"object {number} is not in the global heap at {address}")
        found.at = 0
        self._addresses.spend(length)  # any number of attributes may refer to one long string
        return _shown(found.take(length).split(b"\0")[0])

    def _collection(self, address: int) -> dict[int, Fields]:
        prefix = 8 + self._addresses.length_bytes
        head = self._addresses.read(address, prefix, "a global heap")
        head.expect(b"GCOL")
        head.take(4)
        fields = self._addresses.read(address, head.length(), "a global heap")
        fields.take(prefix)
        found: dict[int, Fields] = {}
        while fields.remaining >= prefix:
            number = fields.number(2)
            if not number:  # the rest is free space
                break
            fields.take(6)
            size = fields.length()
            found[number] = fields.within(size, "an object of a global heap")
            fields.take(min(-size % 8, fields.remaining))
        return found


def _shown(raw: bytes) -> str:
    # Old files hold texts in whatever encoding the system had.
    return raw.decode("utf-8", "backslashreplace")
