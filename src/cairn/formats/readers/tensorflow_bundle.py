"""TensorFlow checkpoints (.index with .data-00000-of-00001 and so on): an index of tensors.

    key in the table   value
    (empty)            BundleHeaderProto: 1 shards, 2 byte order (1 is big), 3 version
    a tensor's name    BundleEntryProto: 1 dtype, 2 shape, 3 shard, 4 offset, 5 bytes,
                       6 CRC-32C, 7 slices: the tensor lies in parts of their own
    00 name 00 01 ...  BundleEntryProto of one slice, named by an order-preserving code

Specification: `tensor_bundle.proto` and `tensor_bundle.h` in
https://github.com/tensorflow/tensorflow/tree/master/tensorflow/core/util/tensor_bundle; the table
is `leveldb_table`. Elements lie in the data files as they are in memory, row-major.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod

from cairn.domain import DType, Layout, Piece, Scalar, Source, Span, TensorInfo
from cairn.errors import LimitError, MalformedError
from cairn.formats.leveldb_table import FOOTER_BYTES, MAGIC, Table
from cairn.formats.limits import MAX_AXES, MAX_INT64, MAX_NAME_CHARS, MAX_TENSORS
from cairn.formats.naming import is_deceptive
from cairn.formats.notes import Notes
from cairn.formats.protobuf import Wire, signed
from cairn.formats.reader import Reader
from cairn.formats.sources import BytesSource
from cairn.formats.tensorflow_names import role_of_variable, slice_key
from cairn.formats.tensorflow_types import DTYPES, NO_TENSORS, OBJECT_GRAPH

_SUFFIX = ".index"
_MAX_SHARDS = 99_999  # their numbers have five digits
_Slice = tuple[tuple[int, int], ...]


@dataclass(slots=True)
class _Entry:
    """One BundleEntryProto; a slice's extents are (start, length), length -1 for all."""

    dtype: int = 0
    shape: tuple[int, ...] = ()
    shard: int = 0
    span: Span = field(default_factory=lambda: Span(0, 0))
    slices: tuple[_Slice, ...] = ()


class TensorflowBundleReader(Reader):
    """Reads the index of a checkpoint by TensorFlow 1 and 2; values lie in the files beside it."""

    @property
    def name(self) -> str:
        """`tensorflow-bundle`."""
        return "tensorflow-bundle"

    def recognises(self, head: bytes, source: Source) -> bool:
        """A LevelDB table, told by its last bytes."""
        del head
        at = source.size_bytes - len(MAGIC)
        return source.size_bytes >= FOOTER_BYTES and source.read_at(at, len(MAGIC)) == MAGIC

    def read(self, source: Source) -> Layout:
        """List the tensors of the index; the data files are not opened."""
        return _Bundle(source).layout(self.name)


class _Bundle:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._notes = Notes()
        self._shards = 0
        self._big_endian = False
        self._entries: dict[bytes, _Entry] = {}

    def layout(self, name: str) -> Layout:
        self._read()
        tensors = tuple(self._tensors())
        metadata: dict[str, Scalar] = {"shards": self._shards}
        return Layout(name, self._source.size_bytes, tensors, (), metadata, self._notes.listed())

    def _read(self) -> None:
        for at, (key, value) in enumerate(Table(self._source).entries()):
            wire = Wire(BytesSource(value, self._source.name))
            if at == 0:
                if key:
                    raise self._refusal("the table has no header of a TensorFlow checkpoint")
                self._header(wire)
                continue
            if at > MAX_TENSORS:
                raise LimitError(f"more than {MAX_TENSORS} entries", source=self._source.name)
            self._entries[key] = self._entry(wire)
        if not self._shards:
            raise self._refusal("the table has no header of a TensorFlow checkpoint")

    def _header(self, wire: Wire) -> None:
        for item in wire.fields(wire.whole):
            match item:
                case (1, int() as shards, *_):
                    self._shards = shards
                case (2, int() as order, *_):
                    self._big_endian = order == 1
        if not 1 <= self._shards <= _MAX_SHARDS:
            raise self._refusal(f"{self._shards} data files")

    def _entry(self, wire: Wire) -> _Entry:
        found = _Entry()
        offset = size = 0
        slices: list[_Slice] = []
        for item in wire.fields(wire.whole):
            match item:
                case (1, int() as dtype, *_):
                    found.dtype = dtype
                case (2, Span() as shape, *_):
                    found.shape = self._shape(wire, shape)
                case (3, int() as shard, *_):
                    found.shard = shard
                case (4, int() as number, *_):
                    offset = number
                case (5, int() as number, *_):
                    size = number
                case (7, Span() as part, *_):
                    slices.append(self._slice(wire, part))
        if found.shard >= self._shards or offset + size > MAX_INT64:
            raise self._refusal(f"an entry in data file {found.shard} of {self._shards}")
        found.span, found.slices = Span(offset, offset + size), tuple(slices)
        return found

    def _shape(self, wire: Wire, span: Span) -> tuple[int, ...]:
        axes: list[int] = []
        for item in wire.fields(span):
            if item.number == 2 and isinstance(item.value, Span):
                sizes = [f.value for f in wire.fields(item.value) if f.number == 1]
                size = sizes[-1] if sizes else 0
                axes.append(size if isinstance(size, int) else -1)
        elements = 1
        for axis in axes:
            elements *= axis
        if len(axes) > MAX_AXES or not all(0 <= n <= MAX_INT64 for n in (*axes, elements)):
            raise self._refusal(f"a shape of {len(axes)} axes or too many elements")
        return tuple(axes)

    def _slice(self, wire: Wire, span: Span) -> _Slice:
        extents = []
        for item in wire.fields(span):
            if item.number != 1 or not isinstance(item.value, Span):
                continue
            start, length = 0, -1
            for part in wire.fields(item.value):
                match part:
                    case (1, int() as number, *_):
                        start = signed(number)
                    case (2, int() as number, *_):
                        length = signed(number)
            extents.append((start, length))
        if len(extents) > MAX_AXES:
            raise self._refusal("a slice of too many axes")
        return tuple(extents)

    # --- tensors -----------------------------------------------------------------------

    def _tensors(self) -> Iterator[TensorInfo]:
        for key, entry in self._entries.items():
            if key.startswith(b"\0"):
                continue  # a slice, found through its tensor
            name = self._name(key)
            dtype = DTYPES.get(entry.dtype)
            if name == OBJECT_GRAPH:
                continue
            if dtype is None:
                words = NO_TENSORS.get(entry.dtype, f"elements of type {entry.dtype}")
                self._notes.add(f"{name!r} holds {words} and is left out")
                continue
            pieces = tuple(self._pieces(name, entry, dtype))
            yield TensorInfo(
                name=name,
                dtype=dtype,
                shape=entry.shape,
                span=Span(0, 0),
                role=role_of_variable(name),
                pieces=pieces,
                big_endian=self._big_endian,
            )

    def _name(self, key: bytes) -> str:
        try:
            name = key.decode("utf-8")
        except UnicodeDecodeError:
            raise self._refusal("the name of a tensor is not UTF-8") from None
        if len(name) > MAX_NAME_CHARS:
            raise LimitError("the name of a tensor is too long", source=self._source.name)
        if is_deceptive(name):
            self._notes.add("tensor names contain control or invisible characters")
        return name

    def _pieces(self, name: str, entry: _Entry, dtype: DType) -> Iterator[Piece]:
        if not entry.slices:
            yield self._piece(entry, tuple(0 for _ in entry.shape), entry.shape, dtype, name)
            return
        for extents in entry.slices:
            part = self._entries.get(slice_key(name, extents))
            if part is None or len(extents) != len(entry.shape):
                raise self._refusal(f"a slice of {name[:200]!r} is missing")
            start = tuple(at for at, _ in extents)
            shape = tuple(
                axis if length < 0 else length
                for (_, length), axis in zip(extents, entry.shape, strict=True)
            )
            inside = (a + n <= axis for a, n, axis in zip(start, shape, entry.shape, strict=True))
            if part.dtype != entry.dtype or min(start, default=0) < 0 or not all(inside):
                raise self._refusal(f"a slice of {name[:200]!r} does not fit it")
            yield self._piece(part, start, shape, dtype, name)
        total = sum(prod(self._extent(entry, extents)) for extents in entry.slices)
        if total != prod(entry.shape):
            self._notes.add(f"the slices of {name!r} leave gaps or overlap")

    @staticmethod
    def _extent(entry: _Entry, extents: _Slice) -> Iterator[int]:
        for (_, length), axis in zip(extents, entry.shape, strict=True):
            yield axis if length < 0 else length

    def _piece(
        self,
        entry: _Entry,
        start: tuple[int, ...],
        shape: tuple[int, ...],
        dtype: DType,
        name: str,
    ) -> Piece:
        if entry.span.size_bytes != dtype.size_bytes(prod(shape)):
            raise self._refusal(
                f"tensor {name[:200]!r} of shape {shape} has {entry.span.size_bytes} bytes"
            )
        base = self._source.name.replace("\\", "/").rpartition("/")[2].removesuffix(_SUFFIX)
        path = f"{base}.data-{entry.shard:05}-of-{self._shards:05}"
        return Piece(entry.span, start, shape, path=path)

    def _refusal(self, why: str) -> MalformedError:
        return MalformedError(why, source=self._source.name)
