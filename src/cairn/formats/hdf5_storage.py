"""Where the elements of an HDF5 dataset are: in its header, in one run, in chunks, or nowhere.

    offset  size  data layout message, version 3 and later
    0       2     version (3, 4 or 5), class
    2       ..    0 compact: bytes (2), then the elements
                  1 contiguous: address (A), bytes (L)
                  2 chunked, version 3: axes + 1, address of a B-tree (A), axes and element (4 each)
                  2 chunked, version 4 and 5: flags, axes + 1, width, axes and element (width each),
                    index, what the index needs, address (A)
                  3 virtual

Versions 1 and 2 begin with axes and class, then 5 reserved bytes, the address unless compact, and
the axes (4 each). Specification:
https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html (IV.A.2.i).
"""

from dataclasses import dataclass
from math import prod

from cairn.domain import Span
from cairn.formats.hdf5_addresses import Addresses, Fields
from cairn.formats.hdf5_chunks import INDEXES, Chunks
from cairn.formats.hdf5_objects import DATA_LAYOUT, FILL, OLD_FILL, ObjectHeader

_COMPACT, _CONTIGUOUS, _CHUNKED, _VIRTUAL = 0, 1, 2, 3
_SIZED = 3  # the version from which layouts carry their size and no reserved bytes
_LATEST = 5
_LATEST_FILL = 3
_MOST_WIDTH = 8
_SINGLE_FILTERED_FLAG = 2


@dataclass(frozen=True, slots=True)
class Storage:
    """One of: a run of bytes, chunks, or `words` for what is not read; none: never written."""

    run: Span | None = None
    chunks: Chunks | None = None
    words: str = ""


def storage_of(
    addresses: Addresses, header: ObjectHeader, shape: tuple[int, ...], item_bytes: int
) -> Storage:
    """Where the elements of a dataset are.

    Raises:
        MalformedError: there is no layout, or it does not fit the shape.
    """
    found = next(header.all(DATA_LAYOUT), None)
    if found is None:
        return Storage(words="nowhere")
    message, fields = found
    version = fields.number(1)
    if not 1 <= version <= _LATEST:
        raise fields.refusal(f"layout version {version} is not known")
    old_axes = fields.number(1) if version < _SIZED else 0
    kind = fields.number(1)
    if version < _SIZED:
        fields.take(5)
    wanted = prod(shape) * item_bytes
    if kind == _COMPACT:
        fields.take(4 * old_axes)
        stored = fields.number(4 if version < _SIZED else 2)
        _check_size(fields, stored, wanted)
        start = message.offset + fields.at
        fields.take(stored)
        return Storage(run=Span(start, start + stored))
    if kind == _CONTIGUOUS:
        address = fields.address()
        if version >= _SIZED:
            _check_size(fields, fields.length(), wanted)
        return _run(addresses, fields, address, wanted)
    if kind != _CHUNKED:
        return Storage(words="a virtual dataset" if kind == _VIRTUAL else f"layout class {kind}")
    if version <= _SIZED:
        axes = old_axes if version < _SIZED else fields.number(1)
        address = fields.address()
        sizes = tuple(fields.number(4) for _ in range(axes))
        return Storage(chunks=Chunks(_chunk_shape(fields, sizes, shape, item_bytes), address))
    return _indexed(fields, shape, item_bytes)


def has_fill_value(header: ObjectHeader) -> bool:
    """Whether elements that were never written have a value other than zero."""
    old = header.first(OLD_FILL)
    if old is not None and any(old.take(old.number(4))):
        return True
    fields = header.first(FILL)
    if fields is None:
        return False
    version = fields.number(1)
    if version == _LATEST_FILL:
        defined = bool(fields.number(1) & 0x20)
    else:
        fields.take(2)
        defined = bool(fields.number(1)) or version == 1
    return defined and any(fields.take(fields.number(4)))


def _check_size(fields: Fields, stored: int, wanted: int) -> None:
    if stored != wanted:
        raise fields.refusal(f"its layout has {stored} bytes, its shape and type need {wanted}")


def _run(addresses: Addresses, fields: Fields, address: int | None, size: int) -> Storage:
    if address is None or not size:
        return Storage()
    start = addresses.base + address
    if start + size > addresses.source.size_bytes:
        raise fields.refusal(f"its {size} bytes at {start} reach past the end of the file")
    return Storage(run=Span(start, start + size))


def _chunk_shape(
    fields: Fields, sizes: tuple[int, ...], shape: tuple[int, ...], item_bytes: int
) -> tuple[int, ...]:
    """The axes of a chunk; the last size is that of an element."""
    if len(sizes) != len(shape) + 1 or sizes[-1] != item_bytes or not all(sizes) or not shape:
        raise fields.refusal(f"chunks of {sizes} for a shape of {shape}")
    return sizes[:-1]


def _indexed(fields: Fields, shape: tuple[int, ...], item_bytes: int) -> Storage:
    flags, axes, width = fields.number(1), fields.number(1), fields.number(1)
    if not 1 <= width <= _MOST_WIDTH:
        raise fields.refusal(f"sizes of {width} bytes")
    sizes = tuple(fields.number(width) for _ in range(axes))
    cut = _chunk_shape(fields, sizes, shape, item_bytes)
    index = fields.number(1)
    size, mask = None, 0
    match index:
        case 1:
            if flags & _SINGLE_FILTERED_FLAG:
                size, mask = fields.length(), fields.number(4)
        case 2:
            pass
        case 3:
            fields.take(1)
        case _:
            name = INDEXES.get(index, "unknown")
            return Storage(words=f"chunks of index type {index} ({name})")
    return Storage(chunks=Chunks(cut, fields.address(), index, size, mask))
