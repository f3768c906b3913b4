"""The constants of a Core ML program (MIL): which tensors it has and where their elements lie.

    Program    2 functions: 1 name, 2 Function
    Function   3 block_specializations: 1 opset, 2 Block
    Block      3 operations
    Operation  1 type, 2 inputs: 1 key, 2 Argument; 3 outputs: 1 name; 4 blocks
               5 attributes: 1 key, 2 Value
    Argument   1 arguments: 2 Value
    Value      2 type, 3 immediateValue, 5 blobFileValue (1 fileName, 2 offset)
    ValueType  1 tensorType: 1 dataType, 3 dimensions: 1 constant: 1 size

A blob's offset is that of its record in the weights file; the elements begin 64 bytes later.
Specification: https://github.com/apple/coremltools/blob/main/mlmodel/format/MIL.proto.
"""

from collections import Counter
from collections.abc import Iterator
from math import prod

from cairn.domain import DType, Piece, Span, Storage, TensorInfo
from cairn.errors import LimitError, MalformedError
from cairn.formats.folder import beside
from cairn.formats.limits import (
    MAX_AXES,
    MAX_COREML_DEPTH,
    MAX_INT64,
    MAX_METADATA_ITEMS,
    MAX_NAME_CHARS,
    MAX_TENSORS,
)
from cairn.formats.naming import is_deceptive
from cairn.formats.notes import Notes
from cairn.formats.protobuf import Wire
from cairn.formats.roles import role_of_flat_name

_RECORD_BYTES = 64
_PACKAGE = "@model_path/"
_MAIN = "main"
_VALUE = "val"  # the attribute of `const` operations that holds their tensor
_DTYPES = {
    1: DType.BOOL,
    10: DType.F16,
    11: DType.F32,
    12: DType.F64,
    13: DType.BF16,
    21: DType.I8,
    22: DType.I16,
    23: DType.I32,
    24: DType.I64,
    25: DType.I4,
    31: DType.U8,
    32: DType.U16,
    33: DType.U32,
    34: DType.U64,
    35: DType.U4,
    36: DType.U2,
    40: DType.F8_E4M3,
    41: DType.F8_E5M2,
}
# Immediate values that lie in the file as they are: floats, doubles, and halves as bytes.
_PLAIN_IMMEDIATE = {(1, DType.F32), (6, DType.F64), (7, DType.F16)}
_OTHER_OPERATORS = "others"


class CoremlProgram:
    """Collects the tensors and counts the operators of one program."""

    def __init__(self, wire: Wire, notes: Notes) -> None:
        self._wire = wire
        self._notes = notes
        self._names: set[str] = set()
        self.tensors: list[TensorInfo] = []
        self.storages: list[Storage] = []
        self.operators: Counter[str] = Counter()

    def walk(self, program: Span) -> None:
        """Take in all functions; names in others than `main` come after the function's."""
        for number, value, *_ in self._wire.fields(program):
            if number == 2 and isinstance(value, Span):
                name, function = self._entry(value)
                prefix = "" if name == _MAIN else f"{name}."
                for inner, block, *_ in self._wire.fields(function):
                    if inner == 3 and isinstance(block, Span):
                        self._block(self._entry(block)[1], prefix, 0)

    def _entry(self, span: Span) -> tuple[str, Span]:
        """Key and value of one entry of a map."""
        key, value = "", Span(span.stop, span.stop)
        for number, found, *_ in self._wire.fields(span):
            match number, found:
                case 1, Span() as text:
                    key = self._wire.text(text, MAX_NAME_CHARS)
                case 2, Span() as message:
                    value = message
        return key, value

    def _messages(self, span: Span, wanted: int) -> Iterator[Span]:
        for number, value, *_ in self._wire.fields(span):
            if number == wanted and isinstance(value, Span):
                yield value

    def _block(self, block: Span, prefix: str, depth: int) -> None:
        if depth > MAX_COREML_DEPTH:
            raise LimitError(f"blocks nest more than {MAX_COREML_DEPTH} times")
        for operation in self._messages(block, 3):
            self._operation(operation, prefix, depth)

    def _operation(self, operation: Span, prefix: str, depth: int) -> None:
        kind = output = ""
        values: list[tuple[str, Span]] = []
        blocks: list[Span] = []
        for number, value, *_ in self._wire.fields(operation):
            match number, value:
                case 1, Span() as text:
                    kind = self._wire.text(text, MAX_NAME_CHARS)
                case 2, Span() as entry:
                    key, argument = self._entry(entry)
                    for binding in self._messages(argument, 1):
                        values += ((key, found) for found in self._messages(binding, 2))
                case 3, Span() as named if not output:
                    output = self._entry(named)[0]
                case 4, Span() as block:
                    blocks.append(block)
                case 5, Span() as entry:
                    values.append(self._entry(entry))
        if kind not in self.operators and len(self.operators) >= MAX_METADATA_ITEMS:
            kind = _OTHER_OPERATORS
        self.operators[kind] += 1
        for key, found in values:
            name = output if key == _VALUE else f"{output}.{key}"
            self._value(found, prefix + name)
        for block in blocks:
            self._block(block, prefix, depth + 1)

    def _value(self, value: Span, name: str) -> None:
        """Take in the tensor that a value is, if it is one."""
        dtype: DType | None = None
        shape: tuple[int, ...] = ()
        immediate: Span | None = None
        blob: Span | None = None
        for number, found, *_ in self._wire.fields(value):
            match number, found:
                case 2, Span() as value_type:
                    for tensor_type in self._messages(value_type, 1):
                        dtype, shape = self._tensor_type(tensor_type)
                case 3, Span():
                    immediate = found
                case 5, Span():
                    blob = found
        if blob is not None:
            self._blob(blob, name, dtype, shape)
        elif immediate is not None and dtype is not None and shape:
            self._immediate(immediate, name, dtype, shape)

    def _tensor_type(self, tensor_type: Span) -> tuple[DType | None, tuple[int, ...]]:
        dtype: DType | None = None
        shape: list[int] = []
        for number, value, *_ in self._wire.fields(tensor_type):
            match number, value:
                case 1, int():
                    dtype = _DTYPES.get(value)
                case 3, Span() as dimension if len(shape) <= MAX_AXES:
                    shape.append(self._axis(dimension))
        if len(shape) > MAX_AXES or any(axis > MAX_INT64 for axis in shape):
            raise MalformedError(f"a tensor has the shape {tuple(shape[:8])}")
        return dtype, tuple(shape)

    def _axis(self, dimension: Span) -> int:
        for constant in self._messages(dimension, 1):
            for number, value, *_ in self._wire.fields(constant):
                if number == 1 and isinstance(value, int):
                    return value
        return 0

    def _blob(self, blob: Span, name: str, dtype: DType | None, shape: tuple[int, ...]) -> None:
        path, offset = "", 0
        for number, value, *_ in self._wire.fields(blob):
            match number, value:
                case 1, Span() as text:
                    path = self._wire.text(text, MAX_NAME_CHARS).removeprefix(_PACKAGE)
                case 2, int():
                    offset = value
        if dtype is None:
            self._notes.add(f"{name[:200]}: elements of its type are not read")
            return
        beside("", path)
        start = offset + _RECORD_BYTES
        if prod(shape) * dtype.block_bytes + start > MAX_INT64:
            raise MalformedError(f"tensor {name[:200]!r} ends beyond any file")
        span = Span(start, start + dtype.size_bytes(prod(shape)))
        piece = Piece(span, (0,) * len(shape), shape, path)
        self._add(
            TensorInfo(name, dtype, shape, Span(0, 0), role_of_flat_name(name), pieces=(piece,))
        )

    def _immediate(self, immediate: Span, name: str, dtype: DType, shape: tuple[int, ...]) -> None:
        for tensor in self._messages(immediate, 1):
            for number, repeated, *_ in self._wire.fields(tensor):
                if (number, dtype) not in _PLAIN_IMMEDIATE or not isinstance(repeated, Span):
                    continue
                for values in self._messages(repeated, 1):
                    self._add(TensorInfo(name, dtype, shape, values, role_of_flat_name(name)))
                    if values.size_bytes:
                        self.storages.append(Storage(values, dtype))

    def _add(self, tensor: TensorInfo) -> None:
        name = tensor.name
        if name in self._names:
            raise MalformedError(f"two tensors are named {name[:200]!r}")
        if len(name) > MAX_NAME_CHARS or len(self.tensors) >= MAX_TENSORS:
            raise LimitError(f"more than {MAX_TENSORS} tensors, or a name is too long")
        if is_deceptive(name):
            self._notes.add("tensor names contain control or invisible characters")
        self._names.add(name)
        self.tensors.append(tensor)
