"""The safetensors format: a length, a JSON header, then one gap-free buffer.

    offset  size  meaning
    0       8     n: length of the header, unsigned little-endian
    8       n     UTF-8 JSON object, first byte `{`, may be padded with spaces at the end
    8 + n   rest  the buffer; `data_offsets` count from here and cover it exactly

Specification: https://github.com/huggingface/safetensors#format and `Metadata::validate`
in https://github.com/huggingface/safetensors/blob/main/safetensors/src/tensor.rs.
"""

from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import Any

from cairn.domain import DType, Layout, Scalar, Source, Span, Storage, TensorInfo
from cairn.errors import LimitError, MalformedError, TrailingBytesError
from cairn.formats.limits import (
    MAX_AXES,
    MAX_INT64,
    MAX_METADATA_ITEMS,
    MAX_METADATA_KEY_CHARS,
    MAX_METADATA_VALUE_CHARS,
    MAX_SAFETENSORS_HEADER_BYTES,
    MAX_TENSORS,
)
from cairn.formats.naming import is_deceptive, printable
from cairn.formats.notes import Notes
from cairn.formats.reader import Reader
from cairn.formats.roles import role_of_flat_name
from cairn.formats.sources import read_exactly
from cairn.formats.strict_json import is_integer, parse_json

_LENGTH_BYTES = 8
# A header beyond this is not a header: the ninth byte of some other file happens to be `{`.
_PLAUSIBLE_HEADER_BYTES = 1 << 40
# safetensors' own spellings: the domain also names types only torch or ggml have.
_DTYPES = {
    label: DType[label]
    for label in (
        *("BOOL", "F4", "F6_E2M3", "F6_E3M2", "U8", "I8", "F8_E5M2", "F8_E4M3"),
        *("F8_E5M2FNUZ", "F8_E4M3FNUZ", "F8_E8M0", "I16", "U16", "F16", "BF16"),
        *("I32", "U32", "F32", "I64", "U64", "F64", "C64"),
    )
}
_KEYS = frozenset(("dtype", "shape", "data_offsets"))

_Entry = tuple[int, int, str, DType, tuple[int, ...]]


class SafetensorsReader(Reader):
    """Reads `.safetensors`, alone or one shard of several."""

    @property
    def name(self) -> str:
        """`safetensors`."""
        return "safetensors"

    def recognises(self, head: bytes, source: Source) -> bool:
        """A plausible header length, then `{`."""
        del source
        length = int.from_bytes(head[:_LENGTH_BYTES], "little")
        return head[_LENGTH_BYTES : _LENGTH_BYTES + 1] == b"{" and length < _PLAUSIBLE_HEADER_BYTES

    def read(self, source: Source) -> Layout:
        """Lay the file out from its header."""
        raw = _header(source)
        header = parse_json(raw, source.name, what="the safetensors header")
        start = _LENGTH_BYTES + len(raw)
        notes = Notes()
        if start % 8:
            notes.add("the tensor buffer does not start at a multiple of 8 bytes")
        metadata = _metadata(header.pop("__metadata__", None), source, notes)
        if len(header) > MAX_TENSORS:
            raise LimitError(
                f"{len(header)} tensors, at most {MAX_TENSORS} are listed", source=source.name
            )
        entries = sorted(
            (_entry(name, value, source.name) for name, value in header.items()), key=_ORDER
        )
        _check_cover(entries, start, source)
        tensors = tuple(_tensors(entries, start, notes))
        return Layout(
            format=self.name,
            size_bytes=source.size_bytes,
            tensors=tensors,
            storages=tuple(Storage(t.span, t.dtype) for t in tensors if t.span.size_bytes),
            metadata=metadata,
            notes=notes.listed(),
        )


_ORDER = itemgetter(0, 1)


def _header(source: Source) -> bytes:
    length_field = read_exactly(source, 0, _LENGTH_BYTES, "the header length")
    length = int.from_bytes(length_field, "little")
    if _LENGTH_BYTES + length > source.size_bytes:
        raise MalformedError(
            f"the header claims {length} bytes, the file has {source.size_bytes}",
            source=source.name,
            offset=0,
            hint="The download may be incomplete",
        )
    if length > MAX_SAFETENSORS_HEADER_BYTES:
        raise LimitError(
            f"the header has {length} bytes, at most {MAX_SAFETENSORS_HEADER_BYTES} are read",
            source=source.name,
            offset=0,
        )
    raw = read_exactly(source, _LENGTH_BYTES, length, "the header")
    if raw[:1] != b"{":
        raise MalformedError("the header is not a JSON object", source=source.name, offset=8)
    return raw


def _entry(name: str, value: Any, source: str) -> _Entry:
    """One tensor of the header as (start, stop, name, dtype, shape), offsets in the buffer."""

    def refuse(why: str) -> MalformedError:
        return MalformedError(f"tensor {name[:200]!r}: {why}", source=source)

    if not isinstance(value, dict) or value.keys() != _KEYS:
        raise refuse("its entry must be an object with dtype, shape and data_offsets only")
    label, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(label, str) or label not in _DTYPES:
        raise refuse(f"unknown dtype {str(label)[:40]!r}")
    for what, numbers in (("shape", shape), ("data_offsets", offsets)):
        if not isinstance(numbers, list) or not all(
            is_integer(n) and 0 <= n <= MAX_INT64 for n in numbers
        ):
            raise refuse(f"{what} must be a list of integers from 0 to 2**63-1")
    if len(shape) > MAX_AXES:
        raise refuse(f"{len(shape)} axes, at most {MAX_AXES} are possible")
    if len(offsets) != 2 or offsets[0] > offsets[1]:
        raise refuse("data_offsets must be [start, stop] with start <= stop")
    dtype = _DTYPES[label]
    bits = dtype.bits
    for axis in shape:
        bits *= axis
        if bits > MAX_INT64 and 0 not in shape:
            raise refuse("its size overflows 63 bits")
    if bits % 8:
        raise refuse(f"{bits} bits do not fill whole bytes")
    if bits // 8 != offsets[1] - offsets[0]:
        raise refuse(
            f"shape {tuple(shape)} of {label} needs {bits // 8} bytes,"
            f" data_offsets span {offsets[1] - offsets[0]}"
        )
    return offsets[0], offsets[1], name, dtype, tuple(shape)


def _check_cover(entries: list[_Entry], buffer_start: int, source: Source) -> None:
    end = 0
    for start, stop, name, _, _ in entries:
        if start != end:
            kind = "overlaps the tensor before it" if start < end else "leaves a gap before it"
            raise MalformedError(
                f"tensor {name[:200]!r} starts at {start} of the buffer, {end} expected: {kind}",
                source=source.name,
            )
        end = stop
    buffer_bytes = source.size_bytes - buffer_start
    if end > buffer_bytes:
        raise MalformedError(
            f"the tensors cover {end} bytes, the buffer has {buffer_bytes}",
            source=source.name,
            hint="The file is truncated",
        )
    if end < buffer_bytes:
        raise TrailingBytesError(
            f"the tensors cover {end} bytes, the buffer has {buffer_bytes}",
            source=source.name,
            offset=buffer_start + end,
            hint="The file carries foreign bytes",
        )


def _tensors(entries: list[_Entry], start: int, notes: Notes) -> Iterator[TensorInfo]:
    for first, last, name, dtype, shape in entries:
        if is_deceptive(name):
            notes.add("tensor names contain control or invisible characters")
        yield TensorInfo(
            name=name,
            dtype=dtype,
            shape=shape,
            span=Span(start + first, start + last),
            role=role_of_flat_name(name, shape),
        )


def _metadata(value: Any, source: Source, notes: Notes) -> Mapping[str, Scalar]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise MalformedError(
            "__metadata__ must map strings to strings", source=source.name, offset=_LENGTH_BYTES
        )
    if len(value) > MAX_METADATA_ITEMS:
        notes.add(f"{len(value)} metadata entries, the first {MAX_METADATA_ITEMS} are kept")
    kept: dict[str, Scalar] = {}
    for key, text in list(value.items())[:MAX_METADATA_ITEMS]:
        if len(text) > MAX_METADATA_VALUE_CHARS:
            notes.add("long metadata values are cut")
        kept[printable(key, MAX_METADATA_KEY_CHARS)] = printable(text, MAX_METADATA_VALUE_CHARS)
    return kept
