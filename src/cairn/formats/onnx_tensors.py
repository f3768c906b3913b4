"""One tensor of an ONNX file: its type and shape, and where its elements lie.

    TensorProto   1 dims, 2 data_type, 8 name
                  9 raw_data: the elements back to back, little-endian, four-bit ones in pairs
                  4 float_data, 10 double_data: packed numbers, complex ones as pairs
                  5 int32_data, 7 int64_data, 11 uint64_data: packed varints
                  6 string_data
                  13 external_data with 14 data_location = 1: location, offset, length, checksum

Specification: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto (`TensorProto`) and
https://github.com/onnx/onnx/blob/main/docs/ExternalData.md.
"""

from dataclasses import dataclass, field
from math import prod

from cairn.domain import DType, Piece, Role, Span, Storage, TensorInfo
from cairn.errors import MalformedError
from cairn.formats.folder import beside
from cairn.formats.limits import MAX_AXES, MAX_INT64, MAX_NAME_CHARS, MAX_ONNX_PIECES
from cairn.formats.protobuf import DELIMITED, MAX_VARINT_BYTES, Field, Wire
from cairn.formats.roles import role_of_flat_name

# `TensorProto.DataType`; 8 is text.
DTYPES: dict[int, DType] = {
    1: DType.F32,
    2: DType.U8,
    3: DType.I8,
    4: DType.U16,
    5: DType.I16,
    6: DType.I32,
    7: DType.I64,
    9: DType.BOOL,
    10: DType.F16,
    11: DType.F64,
    12: DType.U32,
    13: DType.U64,
    14: DType.C64,
    15: DType.C128,
    16: DType.BF16,
    17: DType.F8_E4M3,
    18: DType.F8_E4M3FNUZ,
    19: DType.F8_E5M2,
    20: DType.F8_E5M2FNUZ,
    21: DType.U4,
    22: DType.I4,
    23: DType.F4,
    24: DType.F8_E8M0,
    25: DType.U2,
    26: DType.I2,
    27: DType.F6_E2M3,
    28: DType.F6_E3M2,
}
_MAX_PAIRS = 100
_TEXT = 8
_EXTERNAL = 1
_FIXED_DATA, _VARINT_DATA, _STRING_DATA = (4, 10), (5, 7, 11), 6
_SIX_BITS = (DType.F6_E2M3, DType.F6_E3M2)
# Indices, shapes and masks that steer a graph; quantised weights have other types.
_STEERING = (DType.I64, DType.BOOL)


@dataclass(slots=True)
class TensorProto:
    """The fields of one tensor as they stand in the file."""

    span: Span
    name: str = ""
    dims: list[int] = field(default_factory=list)
    data_type: int = 0
    raw: Span | None = None
    numbers: list[Field] = field(default_factory=list)
    is_external: bool = False
    is_segment: bool = False
    external_pairs: list[tuple[str, str]] = field(default_factory=list)

    @property
    def external(self) -> dict[str, str]:
        """What is said of the data outside; of a key that stands twice loaders take the last."""
        return dict(self.external_pairs)

    def add_pair(self, key: str, value: str) -> None:
        """Take an entry of external data.

        Raises:
            MalformedError: there are too many.
        """
        if len(self.external_pairs) == _MAX_PAIRS:
            raise MalformedError(f"more than {_MAX_PAIRS} entries of external data")
        self.external_pairs.append((key, value))


def read_tensor(wire: Wire, span: Span) -> TensorProto:
    """The fields of the `TensorProto` in `span`, payloads unread."""
    found = TensorProto(span)
    for entry in wire.fields(span):
        match entry:
            case (1, *_):
                found.dims += wire.integers(entry, MAX_AXES)
            case (2, int() as data_type, *_):
                found.data_type = data_type
            case (3, Span(), *_):
                found.is_segment = True
            case (4 | 5 | 7 | 10 | 11, *_):
                if len(found.numbers) <= MAX_ONNX_PIECES:
                    found.numbers.append(entry)
            case (8, Span() as name, *_):
                found.name = wire.text(name, MAX_NAME_CHARS)
            case (9, Span() as raw, *_):
                found.raw = raw
            case (13, Span() as pair, *_):
                found.add_pair(*read_pair(wire, pair))
            case (14, int() as location, *_):
                found.is_external = location == _EXTERNAL
    if len(found.dims) > MAX_AXES:
        raise MalformedError(f"tensor {found.name[:200]!r} has {len(found.dims)} axes")
    return found


def read_pair(wire: Wire, span: Span, max_bytes: int = MAX_NAME_CHARS) -> tuple[str, str]:
    """Key and value of a `StringStringEntryProto`."""
    key = value = ""
    for entry in wire.fields(span):
        match entry:
            case (1, Span() as text, *_):
                key = wire.text(text, MAX_NAME_CHARS)
            case (2, Span() as text, *_):
                value = wire.text(text, max_bytes)
    return key, value


def place(proto: TensorProto, name: str, *, constant: bool) -> TensorInfo | str:
    """The tensor under a name, or in words why it is not read.

    `constant`: it stands in a node of the graph, not among the initializers.

    Raises:
        MalformedError: its parts contradict each other, or it lies outside the checkpoint.
    """
    dtype = DTYPES.get(proto.data_type)
    if proto.data_type == _TEXT:
        return "text is not read"
    if dtype is None:
        raise MalformedError(f"tensor {name[:200]!r} has the type {proto.data_type}, unknown to us")
    shape = tuple(proto.dims)
    if any(axis < 0 for axis in shape):
        raise MalformedError(f"tensor {name[:200]!r} has a negative axis: {shape}")
    if prod(shape) * dtype.block_bytes > MAX_INT64:
        raise MalformedError(f"tensor {name[:200]!r} is larger than 63 bits can say")
    if proto.is_segment:
        return "one segment of a tensor is not read"
    if dtype in _SIX_BITS and (prod(shape) % dtype.block_elements or proto.raw is None):
        return "six-bit numbers are read only from raw data that fills whole groups of four"
    role = Role.BUFFERS if constant or dtype in _STEERING else role_of_flat_name(name)
    if proto.is_external:
        return TensorInfo(name, dtype, shape, Span(0, 0), role, pieces=(_external(proto),))
    if proto.raw is not None:
        return TensorInfo(name, dtype, shape, proto.raw, role)
    if not prod(shape) and not proto.numbers:
        return TensorInfo(name, dtype, shape, Span(proto.span.start, proto.span.start), role)
    return _numbers(proto, name, dtype, shape, role)


def storages_of(tensor: TensorInfo) -> list[Storage]:
    """The runs of the file that hold the tensor; encoded ones are plain bytes to others."""
    if not tensor.pieces:
        return [Storage(tensor.span, tensor.dtype)] if tensor.span.size_bytes else []
    return [
        Storage(piece.span, DType.U8 if piece.encoding else tensor.dtype)
        for piece in tensor.pieces
        if not piece.path and piece.span.size_bytes
    ]


def _external(proto: TensorProto) -> Piece:
    location, span = external_span(proto)
    beside("", location)
    dims = tuple(proto.dims)
    return Piece(span, (0,) * len(dims), dims, location)


def external_span(proto: TensorProto) -> tuple[str, Span]:
    """The file that a tensor with external data lies in, as it is written, and where in it.

    Raises:
        MalformedError: no file is named, or the place is none that such a tensor could have.
    """
    name = repr(proto.name[:200])
    location = proto.external.get("location", "")
    if not location:
        raise MalformedError(f"tensor {name} does not say in which file it lies")
    offset = _number(proto, "offset") or 0
    length = _number(proto, "length")
    dtype = DTYPES.get(proto.data_type)
    if dtype is None or any(axis < 0 for axis in proto.dims):
        raise MalformedError(f"tensor {name} has no type and shape of numbers")
    size = dtype.size_bytes(prod(proto.dims))
    if length is not None and length != size:
        raise MalformedError(f"tensor {name} needs {size} bytes, its external data has {length}")
    if offset + size > MAX_INT64:
        raise MalformedError(f"tensor {name} ends beyond any file")
    return location, Span(offset, offset + size)


def _number(proto: TensorProto, key: str) -> int | None:
    text = proto.external.get(key)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise MalformedError(f"tensor {proto.name[:200]!r} has the external {key} {text[:40]!r}")
    return int(text)


# onnx.proto gives them fields of their own; only the bits of halves and bytes go as integers.
_NEVER_VARINTS = frozenset((DType.F32, DType.F64, DType.C64, DType.C128))


def _numbers(
    proto: TensorProto, name: str, dtype: DType, shape: tuple[int, ...], role: Role
) -> TensorInfo | str:
    """The tensor whose elements lie in the fields for numbers of one kind."""
    kinds = {entry.number for entry in proto.numbers}
    if not kinds:
        return "it has no data here"
    if len(kinds) > 1 or len(proto.numbers) > MAX_ONNX_PIECES:
        return "its numbers lie in too many places"
    first = proto.numbers[0]
    packed = first.wire_type == DELIMITED
    as_varints = first.number in _VARINT_DATA
    if as_varints and dtype in _NEVER_VARINTS:
        return f"its numbers of {dtype.label} lie in a field for integers"
    if packed and len(proto.numbers) == 1 and not as_varints:
        return TensorInfo(name, dtype, shape, first.span, role)
    units = -(-prod(shape) // dtype.block_elements)
    if packed and len(proto.numbers) == 1:
        if not units <= first.span.size_bytes <= units * MAX_VARINT_BYTES:
            raise MalformedError(
                f"tensor {name[:200]!r} of {units} numbers has {first.span.size_bytes} bytes"
            )
        piece = Piece(first.span, (0,) * len(shape), shape, encoding=("varint",))
        return TensorInfo(name, dtype, shape, Span(0, 0), role, pieces=(piece,))
    return _one_by_one(proto, name, dtype, shape, role)


def _one_by_one(
    proto: TensorProto, name: str, dtype: DType, shape: tuple[int, ...], role: Role
) -> TensorInfo | str:
    """The tensor whose numbers are a field each, as writers without packing leave them."""
    if any(entry.wire_type == DELIMITED for entry in proto.numbers):
        return "its numbers lie in several packed runs"
    as_varints = proto.numbers[0].number in _VARINT_DATA
    sizes = {entry.span.size_bytes for entry in proto.numbers}
    units = -(-prod(shape) // dtype.block_elements)
    if not as_varints and sizes != {dtype.block_bytes}:
        return "its complex numbers are a field each half"
    if len(proto.numbers) != units:
        raise MalformedError(
            f"tensor {name[:200]!r} needs {units} numbers, it has {len(proto.numbers)}"
        )
    step = dtype.block_elements
    pieces = tuple(
        Piece(
            entry.span,
            (at * step,),
            (min(step, prod(shape) - at * step),),
            encoding=("varint",) if as_varints else (),
        )
        for at, entry in enumerate(proto.numbers)
    )
    return TensorInfo(name, dtype, shape, Span(0, 0), role, pieces=pieces)
