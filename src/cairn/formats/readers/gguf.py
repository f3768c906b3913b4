"""GGUF, the files of ggml and llama.cpp: typed keys, tensor infos, then aligned tensors.

    offset  size  meaning
    0       4     `GGUF`
    4       4     u32 version: 2 or 3; in a big-endian file (version 3) all numbers are swapped
    8       8     u64 number of tensors
    16      8     u64 number of key-value pairs
    24            per pair: string key, u32 type, value
                  per tensor: string name, u32 axes, u64 per axis (fastest first), u32 type,
                  u64 offset from the start of the data
                  zeros up to a multiple of the alignment (key general.alignment, 32 if absent)
                  the data: tensors that each begin at a multiple of the alignment

Specification: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. What is checked
beyond it follows `gguf_init_from_file_impl` in ggml's `src/gguf.cpp`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter

from cairn.domain import Layout, Scalar, Source, Span, Storage, TensorInfo
from cairn.errors import (
    LimitError,
    MalformedError,
    TrailingBytesError,
    UnknownFormatError,
)
from cairn.formats.ggml_types import GGML_TYPES, REMOVED_TYPES
from cairn.formats.gguf_architecture import architecture_of
from cairn.formats.gguf_values import U32, GgufArray, GgufCursor, GgufValue
from cairn.formats.limits import (
    MAX_GGUF_PAIRS,
    MAX_INT64,
    MAX_METADATA_ITEMS,
    MAX_METADATA_KEY_CHARS,
    MAX_METADATA_VALUE_CHARS,
    MAX_NAME_CHARS,
    MAX_TENSORS,
)
from cairn.formats.naming import is_deceptive, printable
from cairn.formats.notes import Notes
from cairn.formats.reader import Reader
from cairn.formats.roles import role_of_flat_name
from cairn.formats.sources import read_exactly

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_ALIGNMENT = "general.alignment"
_DEFAULT_ALIGNMENT = 32
_MOST_AXES = 4  # GGML_MAX_DIMS in ggml.h
_SMALLEST_PAIR_BYTES = 8 + 4 + 1
_SMALLEST_TENSOR_BYTES = 8 + 4 + 4 + 8


@dataclass(frozen=True, slots=True)
class _Placed:
    """A tensor as its info describes it; `start` counts from the beginning of the data."""

    start: int
    stop: int
    name: str
    shape: tuple[int, ...]
    type_number: int


class GgufReader(Reader):
    """Reads `.gguf`, plain and quantised, of either byte order."""

    @property
    def name(self) -> str:
        """`gguf`."""
        return "gguf"

    def recognises(self, head: bytes, source: Source) -> bool:
        """The magic."""
        del source
        return head.startswith(_MAGIC)

    def read(self, source: Source) -> Layout:
        """Lay the file out from its keys and tensor infos."""
        notes = Notes()
        big_endian, version = _version(source)
        cursor = GgufCursor(source, 8, ">" if big_endian else "<")
        tensor_count = cursor.count("tensors", _SMALLEST_TENSOR_BYTES)
        pair_count = cursor.count("key-value pairs", _SMALLEST_PAIR_BYTES)
        if tensor_count > MAX_TENSORS or pair_count > MAX_GGUF_PAIRS:
            raise LimitError(
                f"{tensor_count} tensors and {pair_count} keys, at most {MAX_TENSORS} and"
                f" {MAX_GGUF_PAIRS} are listed",
                source=source.name,
            )
        values = _pairs(cursor, pair_count, source)
        alignment = _alignment(values, source)
        placed = sorted(_infos(cursor, tensor_count, alignment, source), key=_ORDER)
        start = _padded(cursor.at, alignment)
        end = _check_cover(placed, alignment, source, notes)
        header_end = cursor.at if not end else start
        _check_end(header_end + end, alignment, source)
        tensors = tuple(_tensors(placed, start, notes, big_endian=big_endian))
        return Layout(
            format=self.name,
            size_bytes=source.size_bytes,
            tensors=tensors,
            storages=tuple(Storage(t.span, t.dtype) for t in tensors if t.span.size_bytes),
            metadata={"gguf.version": version, **_metadata(values, notes)},
            notes=notes.listed(),
            architecture=architecture_of(values),
        )


_ORDER = attrgetter("start", "stop")


def _version(source: Source) -> tuple[bool, int]:
    """Whether the file is big-endian, and its version."""
    raw = read_exactly(source, 4, 4, "the version")
    little, big = int.from_bytes(raw, "little"), int.from_bytes(raw, "big")
    if little in _VERSIONS:
        return False, little
    if big in _VERSIONS:
        return True, big
    if little == 1:
        raise UnknownFormatError(
            "this is a GGUF file of version 1, which was in use for a week of August 2023",
            source=source.name,
            hint="Convert the model again with a current llama.cpp",
        )
    raise MalformedError(f"the GGUF version {little} is not known", source=source.name, offset=4)


def _pairs(cursor: GgufCursor, count: int, source: Source) -> dict[str, GgufValue]:
    values: dict[str, GgufValue] = {}
    for _ in range(count):
        at = cursor.at
        key = cursor.name("a key", MAX_NAME_CHARS)
        if key in values:
            raise MalformedError(
                f"the key {key[:200]!r} is given twice", source=source.name, offset=at
            )
        kind = cursor.number("I")
        if key == _ALIGNMENT and kind != U32:
            raise MalformedError(f"{key} is not a u32", source=source.name, offset=at)
        # Four bytes are the most that one character of UTF-8 takes.
        values[key] = cursor.value(kind, 4 * (MAX_METADATA_VALUE_CHARS + 1))
    return values


def _alignment(values: Mapping[str, GgufValue], source: Source) -> int:
    value = values.get(_ALIGNMENT, _DEFAULT_ALIGNMENT)
    if not isinstance(value, int) or value < 1 or value & (value - 1):
        raise MalformedError(f"the alignment {value} is not a power of two", source=source.name)
    return value


def _infos(cursor: GgufCursor, count: int, alignment: int, source: Source) -> Iterator[_Placed]:
    names: set[str] = set()
    for _ in range(count):
        at = cursor.at
        name = cursor.name("a tensor's name", MAX_NAME_CHARS)
        axes = cursor.number("I")
        if axes > _MOST_AXES:
            raise MalformedError(
                f"tensor {name[:200]!r} has {axes} axes, at most {_MOST_AXES} are possible",
                source=source.name,
                offset=at,
            )
        shape = tuple(cursor.number("Q") for _ in range(axes))[::-1]
        placed = _placed(name, shape, cursor.number("I"), cursor.number("Q"), source.name)
        if name in names:
            raise MalformedError(f"two tensors are named {name[:200]!r}", source=source.name)
        if placed.start % alignment:
            raise MalformedError(
                f"tensor {name[:200]!r} does not begin at a multiple of {alignment}",
                source=source.name,
                offset=at,
            )
        names.add(name)
        yield placed


def _placed(
    name: str, shape: tuple[int, ...], type_number: int, start: int, source: str
) -> _Placed:
    def refuse(why: str) -> MalformedError:
        return MalformedError(f"tensor {name[:200]!r}: {why}", source=source)

    if type_number in REMOVED_TYPES:
        raise refuse(f"the type {REMOVED_TYPES[type_number]} was removed from ggml")
    dtype = GGML_TYPES.get(type_number)
    if dtype is None:
        raise refuse(f"the ggml type {type_number} is not known")
    elements = 1
    for axis in shape:
        elements *= axis
        if axis > MAX_INT64 or (elements > MAX_INT64 and 0 not in shape):
            raise refuse("its size overflows 63 bits")
    if (shape[-1] if shape else 1) % dtype.block_elements:
        raise refuse(f"its rows do not fill blocks of {dtype.block_elements} elements")
    return _Placed(start, start + dtype.size_bytes(elements), name, shape, type_number)


def _check_cover(placed: list[_Placed], alignment: int, source: Source, notes: Notes) -> int:
    """Where the last tensor ends, counted from the beginning of the data."""
    end = 0
    for tensor in placed:
        if tensor.start < end:
            raise MalformedError(
                f"tensor {tensor.name[:200]!r} overlaps the one before it", source=source.name
            )
        if tensor.start > _padded(end, alignment):
            notes.add("there are bytes between tensors that belong to none")
        end = tensor.stop
    return end


def _check_end(end: int, alignment: int, source: Source) -> None:
    """Writers differ in whether they pad after the last tensor."""
    said = f"the tensors end at byte {end}, the file has {source.size_bytes}"
    if source.size_bytes < end:
        raise MalformedError(said, source=source.name, hint="The file is truncated")
    if source.size_bytes not in (end, _padded(end, alignment)):
        raise TrailingBytesError(
            said, source=source.name, offset=end, hint="The file carries foreign bytes"
        )


def _tensors(
    placed: list[_Placed], start: int, notes: Notes, *, big_endian: bool
) -> Iterator[TensorInfo]:
    for tensor in placed:
        dtype = GGML_TYPES[tensor.type_number]
        if is_deceptive(tensor.name):
            notes.add("tensor names contain control or invisible characters")
        if big_endian and dtype.is_block_quantised:
            notes.add("quantised tensors are big-endian: their values are not decoded")
        yield TensorInfo(
            name=tensor.name,
            dtype=dtype,
            shape=tensor.shape,
            span=Span(start + tensor.start, start + tensor.stop),
            role=role_of_flat_name(tensor.name),
            big_endian=big_endian,
        )


def _metadata(values: Mapping[str, GgufValue], notes: Notes) -> dict[str, Scalar]:
    kept: dict[str, Scalar] = {}
    for key, value in _flat(values):
        if len(kept) >= MAX_METADATA_ITEMS:
            notes.add(f"more than {MAX_METADATA_ITEMS} metadata entries, the rest is left out")
            break
        if isinstance(value, str) and len(value) > MAX_METADATA_VALUE_CHARS:
            notes.add("long metadata values are cut")
        shown = printable(value, MAX_METADATA_VALUE_CHARS) if isinstance(value, str) else value
        kept[printable(key, MAX_METADATA_KEY_CHARS)] = shown
    return kept


def _flat(values: Mapping[str, GgufValue]) -> Iterator[tuple[str, Scalar]]:
    for key, value in values.items():
        if not isinstance(value, GgufArray):
            yield key, value
        elif value.elements:
            yield from ((f"{key}.{i}", element) for i, element in enumerate(value.elements))
        else:
            yield key, f"[{value.count} values]"


def _padded(offset: int, alignment: int) -> int:
    return -(-offset // alignment) * alignment
