"""The protobuf wire format, read field by field without a schema and without reading payloads.

    field    key, then the payload its wire type says
    key      varint: number << 3 | wire type
    varint   1 to 10 bytes of 7 bits, lowest first; the top bit says that another one follows

    wire type  payload
    0          a varint
    1          8 bytes, little-endian
    2          a varint n, then n bytes: a message, text, bytes or packed numbers
    5          4 bytes, little-endian
    3, 4       groups, which nobody has written since 2008: refused

Specification: https://protobuf.dev/programming-guides/encoding/.
"""

from collections.abc import Iterator
from typing import NamedTuple

from cairn.domain import Source, Span
from cairn.errors import LimitError, MalformedError
from cairn.formats.limits import MAX_PROTOBUF_FIELDS
from cairn.formats.read_ahead import ReadAheadSource
from cairn.formats.sources import read_exactly

VARINT, FIXED64, DELIMITED, FIXED32 = 0, 1, 2, 5
MAX_VARINT_BYTES = 10
_FIXED = {FIXED64: 8, FIXED32: 4}
_MAX_KEY_AND_LENGTH_BYTES = 2 * MAX_VARINT_BYTES
_MASK64 = (1 << 64) - 1


class Field(NamedTuple):
    """One field: `value` is the unsigned number, or the span of what is delimited.

    `span` is the payload in either case. Made to be matched: `case (7, Span() as graph, *_)`.
    """

    number: int
    value: int | Span
    wire_type: int
    span: Span


class Wire:
    """Protobuf messages in a source; all of them together may have so many fields.

    Payloads are skipped, not read, and messages nest only as deep as the caller goes: a
    message is the span of a field, handed to `fields` again.
    """

    def __init__(self, source: Source, max_fields: int = MAX_PROTOBUF_FIELDS) -> None:
        self._source = ReadAheadSource(source)
        self._max_fields = max_fields
        self._left = max_fields

    @property
    def whole(self) -> Span:
        """The source as one message."""
        return Span(0, self._source.size_bytes)

    def fields(self, message: Span) -> Iterator[Field]:
        """The fields of a message in order.

        Raises:
            MalformedError: a field is cut off, reaches out of the message, has the number 0
                or a wire type that is not known.
            LimitError: more fields than allowed in all.
        """
        at = message.start
        while at < message.stop:
            self._left -= 1
            if self._left < 0:
                raise LimitError(
                    f"more than {self._max_fields} protobuf fields", source=self._source.name
                )
            head = self._source.read_at(at, min(_MAX_KEY_AND_LENGTH_BYTES, message.stop - at))
            field = self._field(head, at)
            at = field.span.stop
            if at > message.stop:
                raise self._refusal("a protobuf field reaches out of its message", at)
            yield field

    def text(self, span: Span, max_bytes: int) -> str:
        """A string; what lies beyond `max_bytes` is not read.

        Raises:
            MalformedError: it is not UTF-8.
        """
        cut = span.size_bytes > max_bytes
        raw = read_exactly(self._source, span.start, min(span.size_bytes, max_bytes), "a string")
        try:
            return raw.decode("utf-8", "ignore" if cut else "strict")
        except UnicodeDecodeError:
            raise self._refusal("a protobuf string is not UTF-8", span.start) from None

    def integers(self, field: Field, max_count: int) -> list[int]:
        """What a field adds to a repeated int64, packed or not.

        Raises:
            LimitError: more than `max_count` numbers.
            MalformedError: the last one is cut off.
        """
        if isinstance(field.value, int):
            return [signed(field.value)]
        span = field.value
        if span.size_bytes > max_count * MAX_VARINT_BYTES:
            raise LimitError(
                f"{span.size_bytes} bytes of integers, at most {max_count} are read",
                source=self._source.name,
                offset=span.start,
            )
        raw = read_exactly(self._source, span.start, span.size_bytes, "packed integers")
        found: list[int] = []
        at = 0
        while at < len(raw):
            value, at = self._varint(raw, at, span.start)
            found.append(signed(value))
        if len(found) > max_count:
            raise LimitError(
                f"{len(found)} integers, at most {max_count} are read",
                source=self._source.name,
                offset=span.start,
            )
        return found

    def _field(self, head: bytes, base: int) -> Field:
        key, at = self._varint(head, 0, base)
        number, wire_type = key >> 3, key & 7
        if not number:
            raise self._refusal("a protobuf field has the number 0", base)
        if wire_type == DELIMITED:
            length, at = self._varint(head, at, base)
            span = Span(base + at, base + at + length)
            return Field(number, span, wire_type, span)
        if wire_type == VARINT:
            value, stop = self._varint(head, at, base)
        elif wire_type in _FIXED:
            stop = at + _FIXED[wire_type]
            value = int.from_bytes(head[at:stop], "little")
        else:
            raise self._refusal(f"a protobuf field has the wire type {wire_type}", base)
        return Field(number, value, wire_type, Span(base + at, base + stop))

    def _varint(self, raw: bytes, at: int, base: int) -> tuple[int, int]:
        """The varint at `at`, and where it ends."""
        if at < len(raw) and raw[at] < 0x80:  # most have one byte
            return raw[at], at + 1
        value = 0
        for shift in range(0, 7 * MAX_VARINT_BYTES, 7):
            if at >= len(raw):
                raise self._refusal("a varint is cut off", base + at)
            byte = raw[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & _MASK64, at
        raise self._refusal(f"a varint of more than {MAX_VARINT_BYTES} bytes", base)

    def _refusal(self, why: str, offset: int) -> MalformedError:
        return MalformedError(why, source=self._source.name, offset=offset)


def signed(value: int) -> int:
    """An int64 from the unsigned number its varint holds."""
    return value - (1 << 64) if value >> 63 else value
