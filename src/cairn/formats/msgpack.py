"""The MessagePack wire format, read strictly into a tree whose long values stay in the file.

    first byte   what follows
    00-7f e0-ff  a small integer in the byte itself
    80-8f        map of n entries      de, df   map, count in 2 or 4 bytes
    90-9f        array of n items      dc, dd   array, count in 2 or 4 bytes
    a0-bf        text of n bytes       d9 da db text, length in 1, 2 or 4 bytes
    c0 c2 c3     nil, false, true      c4 c5 c6 binary, length in 1, 2 or 4 bytes
    ca cb        float of 4, 8 bytes   cc-cf    unsigned of 1, 2, 4, 8; d0-d3 signed
    c7 c8 c9     extension: length in 1, 2 or 4 bytes, type, data
    d4-d8        extension of 1, 2, 4, 8, 16 bytes: type, data

All numbers are big-endian. Specification:
https://github.com/msgpack/msgpack/blob/master/spec.md. c1 is never used.
"""

import struct
from dataclasses import dataclass
from typing import Union

from cairn.domain import Source, Span
from cairn.errors import LimitError, MalformedError
from cairn.formats.limits import MAX_DEPTH, MAX_MSGPACK_ITEMS, MAX_NAME_CHARS
from cairn.formats.read_ahead import ReadAheadSource
from cairn.formats.sources import read_exactly


@dataclass(frozen=True, slots=True)
class Text:
    """A text that stays in the file."""

    span: Span


@dataclass(frozen=True, slots=True)
class Binary:
    """Bytes that stay in the file."""

    span: Span


@dataclass(frozen=True, slots=True)
class Extension:
    """A value of a type of the application's own."""

    type: int
    span: Span


Value = Union[None, bool, int, float, Text, Binary, Extension, "dict[str, Value]", "list[Value]"]

_NUMBERS = {
    0xCA: ">f",
    0xCB: ">d",
    0xCC: ">B",
    0xCD: ">H",
    0xCE: ">I",
    0xCF: ">Q",
    0xD0: ">b",
    0xD1: ">h",
    0xD2: ">i",
    0xD3: ">q",
}
_CONSTANTS: dict[int, bool | None] = {0xC0: None, 0xC2: False, 0xC3: True}
# First byte: what is counted, and in how many bytes.
_COUNTED = {
    0xC4: (Binary, 1),
    0xC5: (Binary, 2),
    0xC6: (Binary, 4),
    0xD9: (Text, 1),
    0xDA: (Text, 2),
    0xDB: (Text, 4),
    0xC7: (Extension, 1),
    0xC8: (Extension, 2),
    0xC9: (Extension, 4),
    0xDC: (list, 2),
    0xDD: (list, 4),
    0xDE: (dict, 2),
    0xDF: (dict, 4),
}
_FIXED_EXTENSIONS = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
_MOST_HEAD_BYTES = 9  # a first byte and the widest number


@dataclass(frozen=True, slots=True)
class _Head:
    """One item without what is below it; `count` of entries or items for containers."""

    value: Value
    count: int
    stop: int


class Msgpack:
    """Reads values of one source, so many in all."""

    def __init__(self, source: Source) -> None:
        self._source = ReadAheadSource(source)
        self._left = MAX_MSGPACK_ITEMS

    @property
    def whole(self) -> Span:
        """The source as one value."""
        return Span(0, self._source.size_bytes)

    def value(self, within: Span) -> Value:
        """The value that fills `within` exactly.

        Raises:
            MalformedError: it ends early or late, a map has keys that are no text or given
                twice, or a byte begins nothing.
            LimitError: too many items or too deeply nested.
        """
        head = self._head(within.start, within)
        at, root = head.stop, head.value
        open_: list[tuple[Value, int]] = [(root, head.count)]
        while open_:
            container, left = open_.pop()
            if not left:
                continue
            open_.append((container, left - 1))
            key = ""
            if isinstance(container, dict):
                key, at = self._key(at, within, container)
            head = self._head(at, within)
            at = head.stop
            if isinstance(container, dict):
                container[key] = head.value
            elif isinstance(container, list):
                container.append(head.value)
            if isinstance(head.value, (dict, list)):
                open_.append((head.value, head.count))
                if len(open_) > MAX_DEPTH:
                    raise LimitError(
                        f"nested deeper than {MAX_DEPTH}", source=self._source.name, offset=at
                    )
        if at != within.stop:
            raise self._refusal(f"{within.stop - at} bytes follow the value", at)
        return root

    def text(self, text: Text, most_bytes: int) -> str:
        """A text, cut to so many bytes.

        Raises:
            MalformedError: it is not UTF-8.
        """
        length = min(text.span.size_bytes, most_bytes)
        raw = read_exactly(self._source, text.span.start, length, "a text")
        try:
            return raw.decode("utf-8", "strict" if length == text.span.size_bytes else "ignore")
        except UnicodeDecodeError:
            raise self._refusal("a text is not UTF-8", text.span.start) from None

    def _key(self, at: int, within: Span, container: dict[str, Value]) -> tuple[str, int]:
        head = self._head(at, within)
        if not isinstance(head.value, Text) or head.value.span.size_bytes > 4 * MAX_NAME_CHARS:
            raise self._refusal("the key of a map is no text, or a very long one", at)
        key = self.text(head.value, 4 * MAX_NAME_CHARS)
        if key in container:
            raise self._refusal(f"the key {key[:100]!r} is there twice", at)
        return key, head.stop

    def _head(self, at: int, within: Span) -> _Head:
        self._left -= 1
        if self._left < 0:
            raise LimitError(f"more than {MAX_MSGPACK_ITEMS} items", source=self._source.name)
        raw = self._source.read_at(at, min(_MOST_HEAD_BYTES, within.stop - at))
        if not raw:
            raise self._refusal("the file ends where a value is due", at)
        first = raw[0]
        if first < 0x80 or first >= 0xE0:
            return _Head(first - (0x100 if first >= 0xE0 else 0), 0, at + 1)
        if first in _CONSTANTS:
            return _Head(_CONSTANTS[first], 0, at + 1)
        if first in _NUMBERS:
            layout = struct.Struct(_NUMBERS[first])
            if len(raw) < 1 + layout.size:
                raise self._refusal("a number is cut off", at)
            return _Head(layout.unpack_from(raw, 1)[0], 0, at + 1 + layout.size)
        kind, count, width = self._counted(raw, at)
        start = at + 1 + width
        if kind in (dict, list):
            # Every item takes a byte at least.
            if count * (2 if kind is dict else 1) > within.stop - start:
                raise self._refusal(f"{count} items do not fit into what follows", at)
            return _Head({} if kind is dict else [], count, start)
        extension = kind is Extension
        stop = start + extension + count
        if stop > within.stop:
            raise self._refusal(f"{count} bytes do not fit into what follows", at)
        if extension:
            code = struct.unpack_from(">b", raw, 1 + width)[0]
            return _Head(Extension(code, Span(start + 1, stop)), 0, stop)
        return _Head(
            Text(Span(start, stop)) if kind is Text else Binary(Span(start, stop)), 0, stop
        )

    def _counted(self, raw: bytes, at: int) -> tuple[type, int, int]:
        """What the first byte counts, how many, and the bytes of the count."""
        first = raw[0]
        if first < 0x90:
            return dict, first & 15, 0
        if first < 0xA0:
            return list, first & 15, 0
        if first < 0xC0:
            return Text, first & 31, 0
        if first in _FIXED_EXTENSIONS:
            return Extension, _FIXED_EXTENSIONS[first], 0
        if first not in _COUNTED:
            raise self._refusal(f"the byte {first:#x} begins nothing", at)
        kind, width = _COUNTED[first]
        return kind, int.from_bytes(raw[1 : 1 + width].ljust(width, b"\xff"), "big"), width

    def _refusal(self, why: str, offset: int) -> MalformedError:
        return MalformedError(why, source=self._source.name, offset=offset)
