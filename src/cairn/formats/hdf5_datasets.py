"""One HDF5 dataset as a tensor: type, shape, and where its elements lie.

A dataset that is no tensor, or whose values would come out wrong, is said in words instead.
"""

from math import prod

from cairn.domain import DType, Piece, Span, TensorInfo
from cairn.formats.hdf5_addresses import Addresses, Fields
from cairn.formats.hdf5_chunks import DECODED, FILTER_NAMES, ChunkPieces, Filter, parse_filters
from cairn.formats.hdf5_objects import (
    DATASPACE,
    DATATYPE,
    EXTERNAL_FILES,
    FILTERS,
    ObjectHeader,
)
from cairn.formats.hdf5_storage import has_fill_value, storage_of
from cairn.formats.hdf5_types import ElementType, parse_dataspace, parse_datatype
from cairn.formats.limits import MAX_UNSTORED_BYTES
from cairn.formats.notes import Notes

# A tensor of which nothing was written: one piece of no elements, the rest is zero.
_NOTHING = (Piece(Span(0, 0), (0,), (0,)),)
_COMMITTED = 2  # a shared message that names another object
_FIRST_SHARED_VERSION = 1
_BFLOAT16_BYTES = 2


class Datasets:
    """Reads the datasets of one file."""

    def __init__(self, addresses: Addresses, notes: Notes) -> None:
        self._addresses = addresses
        self._notes = notes
        self._chunks = ChunkPieces(addresses)

    def tensor(self, name: str, header: ObjectHeader, *, is_bfloat16: bool) -> TensorInfo | str:
        """The tensor a dataset is, or why it is none.

        `is_bfloat16`: opaque elements of two bytes are bfloat16, as Keras says in an attribute.

        Raises:
            MalformedError: its messages contradict each other or the file's size.
            LimitError: too many chunks.
        """
        space = header.first(DATASPACE)
        shape = None if space is None else parse_dataspace(space)
        element = self._element(header)
        if element is None:
            return "its type is not kept with it"
        dtype = element.dtype
        if is_bfloat16 and element.opaque and element.size_bytes == _BFLOAT16_BYTES:
            dtype = DType.BF16
        if shape is None or dtype is None:
            return "it is empty" if shape is None else f"it holds {element.words}"
        if header.first(EXTERNAL_FILES) is not None:
            return "its values lie in other files, which are not followed"
        stored = storage_of(self._addresses, header, shape, element.size_bytes)
        if stored.words:
            return f"it is stored as {stored.words}, which is not read"
        elements = prod(shape)
        pieces: tuple[Piece, ...] = ()
        if stored.run is None and elements:
            filters = self._filters(name, header)
            if stored.chunks is not None:
                found = self._chunks.pieces(stored.chunks, shape, element.size_bytes, filters)
                pieces = tuple(found)
            missing = (elements - sum(_inside(p, shape) for p in pieces)) * element.size_bytes
            if missing > MAX_UNSTORED_BYTES:
                return f"{missing} bytes of it were never written"
            if missing and has_fill_value(header):
                return "elements never written have another value than zero"
        return TensorInfo(
            name=name,
            dtype=dtype,
            shape=shape,
            span=stored.run or Span(0, 0),
            pieces=pieces or (_NOTHING if stored.run is None and elements else ()),
            big_endian=element.big_endian,
        )

    def _filters(self, name: str, header: ObjectHeader) -> tuple[Filter, ...]:
        pipeline = header.first(FILTERS)
        filters = () if pipeline is None else parse_filters(pipeline)
        for number in {f.number for f in filters} - DECODED:
            known = FILTER_NAMES.get(number, str(number))
            self._notes.add(
                f"dataset {name!r} went through the filter {known}, which is not decoded"
            )
        return filters

    def _element(self, header: ObjectHeader) -> ElementType | None:
        """The type of a dataset, looked up where it was given a name of its own."""
        found = next(header.all(DATATYPE), None)
        if found is None:
            return None
        message, fields = found
        if not message.shared:
            return parse_datatype(fields)
        address = _committed(fields)
        if address is None:
            return None
        named = next(ObjectHeader(self._addresses, address).all(DATATYPE), None)
        return None if named is None or named[0].shared else parse_datatype(named[1])


def _committed(fields: Fields) -> int | None:
    """The object a shared message refers to; None if it lies in a heap of shared messages."""
    version, kind = fields.number(1), fields.number(1)
    if version == _FIRST_SHARED_VERSION:
        fields.take(6)
    elif kind != _COMMITTED and version > 2:
        return None
    return fields.address()


def _inside(piece: Piece, shape: tuple[int, ...]) -> int:
    """Elements of a chunk that are elements of the tensor: the last ones reach past its end."""
    return prod(
        min(at + n, axis) - at for at, n, axis in zip(piece.start, piece.shape, shape, strict=True)
    )
