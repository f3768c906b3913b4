"""Dense storage of HDF5: many links or attributes kept in a fractal heap, listed by a B-tree.

    `BTHD` header   4 signature, version, kind, node size (4), record size (2), depth (2), split,
                    merge, root address (A), records in the root (2), records in all
    `BTIN` node     4 signature, version, kind, records, then per child: address (A), its records,
                    the records below it (where its children are nodes too), each as wide as needed
    `BTLF` leaf     4 signature, version, kind, records
    `FRHP` header   the doubling table of the heap: width, sizes of blocks, address of the root
    `FHIB` block    4 signature, version, header (A), offset, addresses of blocks row by row
    `FHDB` block    4 signature, version, header (A), offset, checksum, objects

Objects are named by their offset in the heap's own space and their length. Specification:
https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html (III.A.2, III.G).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from cairn.errors import LimitError
from cairn.formats.hdf5_addresses import Addresses, Fields
from cairn.formats.limits import MAX_HDF5_TREE_DEPTH
from cairn.formats.notes import Notes

_NODE_OVERHEAD_BYTES = 10  # signature, version, kind and checksum
_MANAGED, _HUGE, _TINY = 0, 1, 2
_ID_PLACES = {5: 4, 8: 0}  # where the heap's id stands in records of links and of attributes


def dense_records(
    addresses: Addresses, heap: int, index: int, *, kind: int, notes: Notes
) -> Iterator[Fields]:
    """The bodies of the messages that a B-tree of this kind (5 links, 8 attributes) lists.

    Raises:
        MalformedError: the tree or the heap is broken.
        LimitError: the tree is too deep, or the heap compressed.
    """
    blocks = _FractalHeap(addresses, heap)
    for record in _tree_records(addresses, index, kind):
        record.take(_ID_PLACES[kind])
        body = blocks.find(record.within(blocks.id_bytes, "an id of a heap"))
        if body is None:
            notes.add("attributes or links too large for their heap are left out")
        else:
            yield body


# --- B-tree, version 2 -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Shape:
    """The widths that follow from a tree's node and record sizes, by level."""

    record_bytes: int
    count_bytes: int
    total_bytes: tuple[int, ...]


def _tree_records(addresses: Addresses, header: int, kind: int) -> Iterator[Fields]:
    head = addresses.read(header, 22 + addresses.address_bytes, "a B-tree header")
    head.expect(b"BTHD")
    head.take(1)
    if head.number(1) != kind:
        raise head.refusal("it is of another kind")
    node_bytes, record_bytes, depth = head.number(4), head.number(2), head.number(2)
    head.take(2)
    root, count = head.address(), head.number(2)
    if depth > MAX_HDF5_TREE_DEPTH:
        raise LimitError(f"a B-tree of {depth} levels", source=addresses.source.name)
    if not record_bytes or node_bytes < _NODE_OVERHEAD_BYTES + record_bytes:
        raise head.refusal("its nodes hold no record")
    if root is None:
        return
    shape = _widths(addresses, node_bytes, record_bytes, depth)
    seen: set[int] = set()
    waiting: list[tuple[int | None, int, int]] = [(root, count, depth)]
    while waiting:
        address, count, level = waiting.pop()
        if address is None or address in seen:
            raise head.refusal("it forms a cycle")
        seen.add(address)
        pointer = addresses.address_bytes + shape.count_bytes + shape.total_bytes[level]
        children = (count + 1) * pointer if level else 0
        length = 6 + count * record_bytes + children
        fields = addresses.read(address, length, "a B-tree node")
        fields.expect(b"BTIN" if level else b"BTLF")
        fields.take(2)
        for _ in range(count):
            yield fields.within(record_bytes, "a record of a B-tree")
        below: list[tuple[int | None, int, int]] = []
        for _ in range(count + 1 if level else 0):
            child, inside = fields.address(), fields.number(shape.count_bytes)
            fields.take(shape.total_bytes[level])
            below.append((child, inside, level - 1))
        waiting += reversed(below)


def _widths(addresses: Addresses, node_bytes: int, record_bytes: int, depth: int) -> _Shape:
    most = (node_bytes - _NODE_OVERHEAD_BYTES) // record_bytes
    count_bytes = _bytes_for(most)
    totals = [0, 0]
    below = most
    for _ in range(depth):
        pointer = addresses.address_bytes + count_bytes + totals[-1]
        held = max(0, node_bytes - _NODE_OVERHEAD_BYTES - pointer) // (record_bytes + pointer)
        below = (held + 1) * below + held
        totals.append(_bytes_for(below))
    return _Shape(record_bytes, count_bytes, tuple(totals))


def _bytes_for(number: int) -> int:
    return max(1, (number.bit_length() + 7) // 8)


# --- fractal heap ----------------------------------------------------------------------


class _FractalHeap:
    """Finds objects by their ids."""

    def __init__(self, addresses: Addresses, address: int) -> None:
        self._addresses = addresses
        width, size = addresses.address_bytes, addresses.length_bytes
        head = addresses.read(address, 22 + 12 * size + 3 * width, "a fractal heap")
        head.expect(b"FRHP")
        head.take(1)
        self.id_bytes = head.number(2)
        if head.number(2):
            raise LimitError("a compressed heap is not read", source=addresses.source.name)
        head.take(1)
        self._most_managed = head.number(4)
        head.take(size + width + size + width + 8 * size)
        self._columns = head.number(2)
        self._first_bytes, self._largest_bytes = head.length(), head.length()
        self._offset_bits = head.number(2)
        head.take(2)
        self._root, self._rows = head.address(), head.number(2)
        sizes = (self._columns, self._first_bytes, self._largest_bytes)
        if any(n <= 0 or n & (n - 1) for n in sizes) or self._offset_bits > 64:
            raise head.refusal("its blocks have sizes that are no powers of two")

    def find(self, key: Fields) -> Fields | None:
        """The object with this id; None for those kept outside the heap's blocks."""
        kind = key.number(1) >> 4 & 3
        if kind == _TINY:
            key.at = 0
            length = (key.number(1) & 15) + 1
            return key.within(length, "a tiny object")
        if kind != _MANAGED:
            return None
        offset = key.number(self._offset_bytes)
        length = key.number(_bytes_for(min(self._most_managed, self._largest_bytes)))
        return self._addresses.read(self._place(offset, key), length, "an object of a heap")

    @property
    def _offset_bytes(self) -> int:
        return (self._offset_bits + 7) // 8

    def _place(self, offset: int, key: Fields) -> int:
        """The address of an offset in the heap's space."""
        block, rows = self._root, self._rows
        direct_rows = (self._largest_bytes // self._first_bytes).bit_length() + 1
        for _ in range(MAX_HDF5_TREE_DEPTH):
            if block is None:
                break
            if not rows:
                return block + offset
            row = max(0, (offset // (self._first_bytes * self._columns)).bit_length())
            size = self._first_bytes << max(0, row - 1)
            start = size * self._columns if row else 0
            column = (offset - start) // size
            if row >= rows:
                break
            block = self._entry(block, row * self._columns + column)
            offset -= start + column * size
            rows = 0
            if row >= direct_rows:
                rows = (size // (self._first_bytes * self._columns)).bit_length()
        raise key.refusal("it leads nowhere")

    def _entry(self, block: int, number: int) -> int | None:
        width = self._addresses.address_bytes
        self._addresses.read(block, 4, "a block of a heap").expect(b"FHIB")
        at = block + 5 + width + self._offset_bytes + number * width
        return self._addresses.read(at, width, "a block of a heap").address()
