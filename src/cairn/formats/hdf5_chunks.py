"""How HDF5 chunks become pieces: the chunk indexes and the filters each chunk went through.

    B-tree (layout 3)    `TREE` nodes of type 1; keys are bytes of the chunk (4), mask of filters
                         left out (4), offsets in elements (8 each) and one for the element
    1 single chunk       the address is the chunk; with filters its size and mask precede it
    2 implicit           chunks lie back to back from the address, unfiltered
    3 fixed array        `FAHD` header, `FADB` block: one entry per chunk, in pages if many
    4, 5                 extensible array and version 2 B-tree, for datasets that may grow

Specification: https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html
(III.A.1, IV.A.2.i, l, VII). Filters: 1 deflate, 2 shuffle, 3 fletcher32.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod

from cairn.domain import Piece, Span
from cairn.errors import LimitError
from cairn.formats.hdf5_addresses import Addresses, Fields
from cairn.formats.hdf5_groups import tree_leaves
from cairn.formats.limits import MAX_HDF5_CHUNKS

DECODED = frozenset((1, 2, 3))
"""Filters that are undone: deflate, shuffle, fletcher32."""

FILTER_NAMES = {
    4: "szip",
    5: "n-bit",
    6: "scale-offset",
    32000: "LZF",
    32001: "Blosc",
    32004: "LZ4",
    32008: "bitshuffle",
    32015: "Zstandard",
    32026: "Blosc2",
}
"""Registered filters that are named and not decoded."""

_MAX_FILTERS = 32
_MAX_PAGE_BITS = 32
_NAMED_FILTERS = 256  # filters from this number on carry their name in version 2
INDEXES = {4: "extensible array", 5: "version 2 B-tree"}
"""Chunk indexes that are named and not read."""


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter of a pipeline: its number and how it is undone."""

    number: int
    step: str


@dataclass(frozen=True, slots=True)
class Chunks:
    """How a dataset is cut: `shape` in elements, `index` None for the B-tree of layout 3."""

    shape: tuple[int, ...]
    address: int | None
    index: int | None = None
    single_bytes: int | None = None
    single_mask: int = 0


def parse_filters(fields: Fields) -> tuple[Filter, ...]:
    """The filters of a pipeline message, in the order they were applied.

    Raises:
        MalformedError: too many, or of a version not known.
    """
    version, count = fields.number(1), fields.number(1)
    if version not in (1, 2) or count > _MAX_FILTERS:
        raise fields.refusal(f"{count} filters of version {version}")
    fields.take(6 if version == 1 else 0)
    found = []
    for _ in range(count):
        number = fields.number(2)
        has_name = version == 1 or number >= _NAMED_FILTERS
        name_bytes = fields.number(2) if has_name else 0
        fields.take(2)
        values = fields.number(2)
        fields.take(name_bytes + (-name_bytes % 8 if version == 1 else 0))
        arguments = [fields.number(4) for _ in range(values)]
        fields.take(4 if version == 1 and values % 2 else 0)
        found.append(Filter(number, _undone_by(number, arguments)))
    return tuple(found)


def _undone_by(number: int, arguments: list[int]) -> str:
    match number:
        case 1:
            return "zlib"
        case 2:
            return f"shuffle:{max(1, arguments[0] if arguments else 1)}"
        case 3:
            return "fletcher32"
    return f"hdf5 filter {number}"


class ChunkPieces:
    """Lists the chunks of datasets as pieces, all of one file within a budget."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses
        self._listed = 0

    def pieces(
        self, chunks: Chunks, shape: tuple[int, ...], item_bytes: int, filters: tuple[Filter, ...]
    ) -> Iterator[Piece]:
        """The chunks that are stored; those never written are left out.

        Raises:
            MalformedError: the index is broken or names a place twice or outside the file.
            LimitError: too many chunks.
        """
        plain = prod(chunks.shape) * item_bytes
        seen: set[tuple[int, ...]] = set()
        for start, address, size, mask in self._places(chunks, shape, plain, filters):
            kept = [f for at, f in enumerate(filters) if not mask >> at & 1]
            encoding = tuple(f.step for f in reversed(kept))
            fields = self._addresses.read(address, 0, "a chunk")
            first = self._addresses.base + (address or 0)
            if size > self._addresses.source.size_bytes - first:
                raise fields.refusal(f"its {size} bytes reach past the end of the file")
            if start in seen or (not encoding and size != plain):
                raise fields.refusal(f"the chunk at {start} is there twice, or of a wrong size")
            seen.add(start)
            if all(at < n for at, n in zip(start, shape, strict=True)):
                yield Piece(Span(first, first + size), start, chunks.shape, encoding=encoding)

    def _places(
        self, chunks: Chunks, shape: tuple[int, ...], plain: int, filters: tuple[Filter, ...]
    ) -> Iterator[tuple[tuple[int, ...], int | None, int, int]]:
        """Where each chunk begins in the tensor, its address, bytes and mask of filters."""
        if chunks.address is None:
            return
        match chunks.index:
            case None:
                found = self._in_tree(chunks, len(shape))
            case 1:
                size = plain if chunks.single_bytes is None else chunks.single_bytes
                single = (tuple(0 for _ in shape), chunks.address, size, chunks.single_mask)
                found = iter((single,))
            case 2:
                found = (
                    (start, chunks.address + at * plain, plain, 0)
                    for at, start in enumerate(self._grid(shape, chunks.shape, plain))
                )
            case _:
                found = self._in_fixed_array(chunks, shape, plain, filters)
        for place in found:
            self._listed += 1
            if self._listed > MAX_HDF5_CHUNKS:
                raise LimitError(
                    f"more than {MAX_HDF5_CHUNKS} chunks", source=self._addresses.source.name
                )
            yield place

    def _in_tree(
        self, chunks: Chunks, axes: int
    ) -> Iterator[tuple[tuple[int, ...], int | None, int, int]]:
        key_bytes = 8 + 8 * (axes + 1)
        for entry in tree_leaves(self._addresses, chunks.address, kind=1, key_bytes=key_bytes):
            size, mask = entry.key.number(4), entry.key.number(4)
            start = tuple(entry.key.number(8) for _ in range(axes))
            if any(at % step for at, step in zip(start, chunks.shape, strict=True)):
                raise entry.key.refusal(f"a chunk at {start} in a grid of {chunks.shape}")
            yield start, entry.child, size, mask

    def _in_fixed_array(
        self, chunks: Chunks, shape: tuple[int, ...], plain: int, filters: tuple[Filter, ...]
    ) -> Iterator[tuple[tuple[int, ...], int | None, int, int]]:
        addresses = self._addresses
        width = addresses.address_bytes
        head = addresses.read(chunks.address, 8 + addresses.length_bytes + width, "a fixed array")
        head.expect(b"FAHD")
        head.take(2)
        entry_bytes, page_bits = head.number(1), head.number(1)
        count, block = head.length(), head.address()
        if block is None:
            return
        least = width + (5 if filters else 0)
        if not least <= entry_bytes <= least + 8 or page_bits > _MAX_PAGE_BITS:
            raise head.refusal(f"entries of {entry_bytes} bytes in pages of 2**{page_bits}")
        grid = list(self._grid(shape, chunks.shape, entry_bytes))
        if count < len(grid):
            raise head.refusal(f"{count} entries for {len(grid)} chunks")
        start = 6 + width
        addresses.read(block, 4, "a block of a fixed array").expect(b"FADB")
        page = 1 << page_bits
        pages = -(-count // page) if count > page else 0
        map_bytes = (pages + 7) // 8
        bitmap = addresses.read(block + start, map_bytes, "a map of pages").take(map_bytes)
        first = block + start + len(bitmap) + (4 if pages else 0)
        for at in range(0, len(grid), page):
            number = at // page
            if pages and not bitmap[number // 8] & 0x80 >> number % 8:
                continue
            here = min(page, count - at)
            place = first + number * (page * entry_bytes + 4)
            fields = addresses.read(place, here * entry_bytes, "a page of a fixed array")
            for offset in grid[at : at + page]:
                address = fields.address()
                size = fields.number(entry_bytes - width - 4) if filters else plain
                mask = fields.number(4) if filters else 0
                if address is not None:
                    yield offset, address, size, mask

    def _grid(
        self, shape: tuple[int, ...], step: tuple[int, ...], entry_bytes: int
    ) -> Iterator[tuple[int, ...]]:
        """Where the chunks of a whole tensor begin, if the file can hold an entry for each."""
        axes = [range(0, n, max(1, by)) for n, by in zip(shape, step, strict=True)]
        count = prod(len(axis) for axis in axes)
        if count > MAX_HDF5_CHUNKS or count * entry_bytes > self._addresses.source.size_bytes:
            raise LimitError(f"{count} chunks", source=self._addresses.source.name)
        return product(*axes)
