"""flax's files (.msgpack): nested maps whose leaves are arrays, by `flax.serialization`.

    extension 1   array: msgpack of [shape, name of the dtype, bytes in row-major order]
    extension 2   complex number: msgpack of [real, imaginary]
    extension 3   scalar: as extension 1, of no axes
    {"__msgpack_chunked_array__": true, "shape": {"0": n, ...}, "chunks": {"0": array, ...}}
                  an array above 1 GiB, flattened and cut

Source: https://github.com/google/flax/blob/main/flax/serialization.py; the wire format is in
`msgpack`. Nothing in the file says its byte order: that of the machine, little-endian in practice.
"""

from dataclasses import dataclass, field
from math import prod

from cairn.domain import DType, Layout, Piece, Role, Scalar, Source, Span, Storage, TensorInfo
from cairn.errors import LimitError, MalformedError
from cairn.formats.limits import (
    MAX_ALL_NAMES_CHARS,
    MAX_AXES,
    MAX_INT64,
    MAX_METADATA_ITEMS,
    MAX_METADATA_KEY_CHARS,
    MAX_METADATA_VALUE_CHARS,
    MAX_NAME_CHARS,
    MAX_TENSORS,
)
from cairn.formats.msgpack import Binary, Extension, Msgpack, Text, Value
from cairn.formats.naming import is_deceptive, printable
from cairn.formats.notes import Notes
from cairn.formats.reader import Reader
from cairn.formats.roles import role_of_flat_name

_ARRAY, _COMPLEX, _SCALAR = 1, 2, 3
_CHUNKED = "__msgpack_chunked_array__"
_DTYPES = {
    "bool": DType.BOOL,
    "uint8": DType.U8,
    "int8": DType.I8,
    "uint16": DType.U16,
    "int16": DType.I16,
    "uint32": DType.U32,
    "int32": DType.I32,
    "uint64": DType.U64,
    "int64": DType.I64,
    "float16": DType.F16,
    "bfloat16": DType.BF16,
    "float32": DType.F32,
    "float64": DType.F64,
    "complex64": DType.C64,
    "complex128": DType.C128,
    "float8_e4m3fn": DType.F8_E4M3,
    "float8_e5m2": DType.F8_E5M2,
    "float8_e4m3fnuz": DType.F8_E4M3FNUZ,
    "float8_e5m2fnuz": DType.F8_E5M2FNUZ,
    "float8_e8m0fnu": DType.F8_E8M0,
}
_MAX_DTYPE_BYTES = 64
_ROLES = {"batch_stats": Role.BUFFERS, "ema_params": Role.EMA, "params_ema": Role.EMA}
_PROGRESS = frozenset(("step", "epoch"))
# A map of 1 entry or more, then a key; 80 would be an empty map and begins every pickle.
_MAPS = (*range(0x81, 0x90), 0xDE, 0xDF)
_COUNT_BYTES = {0xDE: 2, 0xDF: 4}
_SHORT_TEXTS = range(0xA1, 0xC0)


@dataclass(frozen=True, slots=True)
class _Array:
    """An array where it lies."""

    dtype: DType | None
    label: str
    shape: tuple[int, ...]
    span: Span


class FlaxReader(Reader):
    """Reads what `flax.serialization.to_bytes` writes: parameters and whole train states."""

    @property
    def name(self) -> str:
        """`flax-msgpack`."""
        return "flax-msgpack"

    def recognises(self, head: bytes, source: Source) -> bool:
        """A map whose first key is a short text without control characters."""
        del source
        if not head or head[0] not in _MAPS:
            return False
        at = 1 + _COUNT_BYTES.get(head[0], 0)
        if at >= len(head) or head[at] not in _SHORT_TEXTS:
            return False
        key = head[at + 1 : at + 1 + (head[at] & 31)]
        try:
            return key.decode("utf-8").isprintable()
        except UnicodeDecodeError:
            return False

    def read(self, source: Source) -> Layout:
        """Lay the file out by walking its maps; arrays are skipped."""
        reading = _Reading(source)
        reading.walk()
        tensors = reading.tensors
        spans = ((s, t.dtype) for t in tensors for s in [p.span for p in t.pieces] or [t.span])
        return Layout(
            format=self.name,
            size_bytes=source.size_bytes,
            tensors=tuple(tensors),
            storages=tuple(Storage(span, dtype) for span, dtype in spans if span.size_bytes),
            metadata=reading.metadata,
            notes=reading.notes.listed(),
        )


@dataclass(slots=True)
class _Reading:
    source: Source
    tensors: list[TensorInfo] = field(default_factory=list)
    metadata: dict[str, Scalar] = field(default_factory=dict)
    notes: Notes = field(default_factory=Notes)
    _wire: Msgpack = field(init=False)

    def __post_init__(self) -> None:
        self._wire = Msgpack(self.source)

    def walk(self) -> None:
        """List every leaf in file order."""
        chars = 0
        waiting: list[tuple[str, Value]] = [("", self._wire.value(self._wire.whole))]
        while waiting:
            name, value = waiting.pop()
            if isinstance(value, list):
                value = {str(at): item for at, item in enumerate(value)}
            if isinstance(value, dict) and _CHUNKED not in value:
                prefix = f"{name}." if name else ""
                longest = len(prefix) + max(map(len, value), default=0)
                chars += len(prefix) * len(value) + sum(map(len, value))
                if longest > MAX_NAME_CHARS or chars > MAX_ALL_NAMES_CHARS:
                    raise LimitError("the names are too long", source=self.source.name)
                waiting += reversed([(prefix + key, item) for key, item in value.items()])
            else:
                self._leaf(name, value)

    def _leaf(self, name: str, value: Value) -> None:
        if isinstance(value, dict):
            self._chunked(name, value)
        elif isinstance(value, Extension) and value.type in (_ARRAY, _SCALAR):
            array = self._array(value)
            self._list(name, array, array.shape, ())
        elif len(self.metadata) < MAX_METADATA_ITEMS:
            self.metadata[printable(name, MAX_METADATA_KEY_CHARS)] = self._scalar(value)
        else:
            self.notes.add(f"only the first {MAX_METADATA_ITEMS} values are kept as metadata")

    def _list(
        self, name: str, array: _Array, shape: tuple[int, ...], pieces: tuple[Piece, ...]
    ) -> None:
        if array.dtype is None:
            self.notes.add(f"{name!r} is left out: its dtype {array.label!r} is not known")
            return
        if len(self.tensors) >= MAX_TENSORS:
            raise LimitError(f"more than {MAX_TENSORS} tensors", source=self.source.name)
        if is_deceptive(name):
            self.notes.add("tensor names contain control or invisible characters")
        span = Span(0, 0) if pieces else array.span
        found = TensorInfo(name, array.dtype, shape, span, _role(name, shape), pieces=pieces)
        self.tensors.append(found)

    def _array(self, extension: Extension) -> _Array:
        """The array that an extension holds."""
        match self._wire.value(extension.span):
            case [list(axes), Text() | Binary() as label, Binary() as data]:
                shape = _sizes(axes)
            case _:
                raise self._refusal("an array is not shape, dtype and bytes", extension)
        if len(shape) != len(axes) or len(axes) > MAX_AXES:
            raise self._refusal("the shape of an array is not a few integers", extension)
        text = self._wire.text(Text(label.span), _MAX_DTYPE_BYTES)
        dtype = _DTYPES.get(text)
        if dtype is not None and dtype.size_bytes(prod(shape)) != data.span.size_bytes:
            raise self._refusal(
                f"shape {shape} of {text} does not take {data.span.size_bytes} bytes", extension
            )
        return _Array(dtype, printable(text, _MAX_DTYPE_BYTES), shape, data.span)

    def _chunked(self, name: str, value: dict[str, Value]) -> None:
        """An array above 1 GiB: its parts, one after the other, flattened."""
        axes, chunks = value.get("shape"), value.get("chunks")
        if not isinstance(axes, dict) or not isinstance(chunks, dict):
            raise MalformedError(f"{name!r} has no shape or chunks", source=self.source.name)
        shape = _sizes([axes.get(str(at)) for at in range(len(axes))])
        found = [self._array(part) for part in chunks.values() if isinstance(part, Extension)]
        first = 0
        pieces = []
        for part in found:
            pieces.append(Piece(part.span, (first,), (prod(part.shape),)))
            first += prod(part.shape)
        kinds = {part.label for part in found}
        in_order = list(chunks) == [str(at) for at in range(len(found))]
        if len(shape) != len(axes) or len(shape) > MAX_AXES or not found or not in_order:
            raise MalformedError(f"{name!r} has an odd shape or chunks", source=self.source.name)
        if len(kinds) != 1 or first != prod(shape):
            raise MalformedError(
                f"the chunks of {name!r} are of several dtypes or not of its shape",
                source=self.source.name,
            )
        self._list(name, found[0], shape, tuple(pieces))

    def _scalar(self, value: Value) -> Scalar:
        match value:
            case Text():
                return printable(
                    self._wire.text(value, 4 * MAX_METADATA_VALUE_CHARS), MAX_METADATA_VALUE_CHARS
                )
            case Binary():
                return f"{value.span.size_bytes} bytes"
            case Extension():
                return self._extension(value)
            case None | bool() | int() | float():
                return value
        raise AssertionError("containers are walked")

    def _extension(self, value: Extension) -> str:
        if value.type != _COMPLEX:
            return f"an extension of type {value.type}"
        match self._wire.value(value.span):
            case [float() as real, float() as imaginary]:
                return str(complex(real, imaginary))
        raise self._refusal("a complex number is not two floats", value)

    def _refusal(self, why: str, extension: Extension) -> MalformedError:
        return MalformedError(why, source=self.source.name, offset=extension.span.start)


def _sizes(values: list[Value]) -> tuple[int, ...]:
    """Those of the values that are sizes of axes: integers from 0 to 2**63-1, and no booleans."""
    return tuple(v for v in values if type(v) is int and 0 <= v <= MAX_INT64)


def _role(name: str, shape: tuple[int, ...]) -> Role:
    first = name.partition(".")[0]
    if not shape and first == name and name in _PROGRESS:
        return Role.METADATA
    return _ROLES.get(first) or role_of_flat_name(name)
