"""The members of HDF5 groups: symbol tables (old) and link messages (new), by name.

    symbol table message     address of a B-tree, address of a local heap
    `TREE` node, type 0      4 signature, type, level, entries (2), siblings (2A), then
                             keys (offsets of names in the heap) and children in turn
    `SNOD` leaf              4 signature, version, reserved, entries (2), then per entry
                             name offset (A), object header (A), cache type (4), 20 reserved
    `HEAP` local heap        4 signature, version, reserved (3), size, free list, address of data
    link message             version 1, flags, [type], [creation order], [character set],
                             length of name, name, then an address or the target's name

Specification: https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html
(III.A, III.C, III.D, IV.A.2.c, g, r). Only hard links are followed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from cairn.errors import LimitError
from cairn.formats.hdf5_addresses import Addresses, Fields
from cairn.formats.hdf5_dense import dense_records
from cairn.formats.hdf5_objects import LINK, LINK_INFO, SYMBOL_TABLE, ObjectHeader
from cairn.formats.limits import MAX_HDF5_TREE_DEPTH
from cairn.formats.notes import Notes

_HARD = 0
_SOFT_CACHE = 2  # of a symbol table entry: its scratch space names a target
_LINK_NAME_INDEX = 5  # the kind of B-tree that lists the links of a large group


@dataclass(frozen=True, slots=True)
class Link:
    """One member of a group; `address` is None for links that are not followed."""

    name: str
    address: int | None
    kind: str = "hard"


def is_group(header: ObjectHeader) -> bool:
    """Whether an object is a group."""
    return any(m.kind in (SYMBOL_TABLE, LINK_INFO, LINK) for m in header.messages)


def links(addresses: Addresses, header: ObjectHeader, notes: Notes) -> Iterator[Link]:
    """The members of a group in the order they are stored.

    Raises:
        MalformedError: a tree or heap is broken or forms a cycle.
        LimitError: a tree is deeper than any sound one.
    """
    table = header.first(SYMBOL_TABLE)
    if table is not None:
        yield from _symbol_table(addresses, table)
    for _, fields in header.all(LINK):
        yield _link(fields)
    info = header.first(LINK_INFO)
    if info is not None:
        yield from _dense_links(addresses, info, notes)


# --- old groups ----------------------------------------------------------------------------


def _symbol_table(addresses: Addresses, table: Fields) -> Iterator[Link]:
    tree, heap = table.address(), table.address()
    names = _heap_data(addresses, heap)
    for leaf in tree_leaves(addresses, tree, kind=0, key_bytes=addresses.length_bytes):
        yield from _leaf(addresses, leaf.child, names)


def _heap_data(addresses: Addresses, heap: int | None) -> Fields:
    width = addresses.length_bytes
    fields = addresses.read(heap, 8 + 2 * width + addresses.address_bytes, "a local heap")
    fields.expect(b"HEAP")
    fields.take(4)
    size, _ = fields.length(), fields.length()
    return addresses.read(fields.address(), size, "the data of a local heap")


def _leaf(addresses: Addresses, address: int | None, names: Fields) -> Iterator[Link]:
    head = addresses.read(address, 8, "a symbol table node")
    head.expect(b"SNOD")
    head.take(2)
    entry_bytes = 2 * addresses.address_bytes + 24
    count = head.number(2)
    assert address is not None
    fields = addresses.read(address + 8, count * entry_bytes, "a symbol table node")
    for _ in range(count):
        place, target = fields.address(), fields.address()
        cache = fields.number(4)
        fields.take(20)
        names.at = 0
        if place is None:
            raise fields.refusal("a member without a name")
        names.take(place)
        name = names.name(padded=False)
        soft = cache == _SOFT_CACHE
        yield Link(name, None if soft else target, "soft" if soft else "hard")


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """A leaf entry of a version 1 B-tree: the key before the child, and the child."""

    key: Fields
    child: int | None


def tree_leaves(
    addresses: Addresses, root: int | None, *, kind: int, key_bytes: int
) -> Iterator[TreeEntry]:
    """The entries of all leaves of a version 1 B-tree, in order of their keys.

    Raises:
        MalformedError: a node is not of this tree, or is met twice.
        LimitError: it is too deep.
    """
    seen: set[int | None] = set()
    width = addresses.address_bytes
    waiting: list[tuple[int | None, int | None]] = [(root, None)]
    while waiting:
        address, expected = waiting.pop()
        head = addresses.read(address, 8 + 2 * width, "a B-tree node")
        head.expect(b"TREE")
        node_kind, level, count = head.number(1), head.number(1), head.number(2)
        if node_kind != kind or address in seen or expected not in (None, level):
            raise head.refusal("it is of another tree, or the tree forms a cycle")
        if level > MAX_HDF5_TREE_DEPTH:
            raise LimitError(f"a B-tree of {level} levels", source=addresses.source.name)
        seen.add(address)
        assert address is not None
        fields = addresses.read(
            address + 8 + 2 * width, count * (key_bytes + width), "a B-tree node"
        )
        below: list[tuple[int | None, int | None]] = []
        for _ in range(count):
            key, child = fields.within(key_bytes, "a key of a B-tree"), fields.address()
            if level == 0:
                yield TreeEntry(key, child)
            else:
                below.append((child, level - 1))
        waiting += reversed(below)


# --- new groups ----------------------------------------------------------------------------


def _link(fields: Fields) -> Link:
    version, flags = fields.number(1), fields.number(1)
    if version != 1:
        raise fields.refusal(f"link version {version} is not known")
    kind = fields.number(1) if flags & 0x08 else _HARD
    fields.take((8 if flags & 0x04 else 0) + (1 if flags & 0x10 else 0))
    name = fields.text(fields.take(fields.number(1 << (flags & 3))))
    match kind:
        case 0:
            return Link(name, fields.address())
        case 1:
            return Link(name, None, "soft")
        case 64:
            return Link(name, None, "external")
    return Link(name, None, f"user-defined ({kind})")


def _dense_links(addresses: Addresses, info: Fields, notes: Notes) -> Iterator[Link]:
    info.take(1)
    flags = info.number(1)
    info.take(8 if flags & 1 else 0)
    heap, index = info.address(), info.address()
    if heap is None or index is None:
        return
    for body in dense_records(addresses, heap, index, kind=_LINK_NAME_INDEX, notes=notes):
        yield _link(body)
