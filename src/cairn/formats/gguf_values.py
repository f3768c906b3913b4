"""The values in the head of a GGUF file: numbers, strings, arrays, in either byte order.

    number   1 to 8 bytes
    string   u64 length, then UTF-8
    array    u32 type of the elements, u64 count, the elements

Specification: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from dataclasses import dataclass
from struct import Struct, pack, unpack

from cairn.domain import Scalar, Source
from cairn.errors import LimitError, MalformedError
from cairn.formats.limits import (
    MAX_GGUF_ARRAY_DEPTH,
    MAX_GGUF_ELEMENTS,
    MAX_LISTED_VALUES,
)
from cairn.formats.read_ahead import ReadAheadSource
from cairn.formats.sources import read_exactly

U32, STRING, ARRAY = 4, 8, 9
_FLOAT32, _BOOL = 6, 7
_CODES = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    U32: "I",
    5: "i",
    _FLOAT32: "f",
    _BOOL: "B",
    10: "Q",
    11: "q",
    12: "d",
}
_LENGTH_BYTES = 8
_ARRAY_HEAD_BYTES = 12
_CHUNK_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class GgufArray:
    """An array: its elements where they are few and plain, otherwise only how many."""

    count: int
    elements: tuple[Scalar, ...] = ()


GgufValue = Scalar | GgufArray


class GgufCursor:
    """A place in the head of a GGUF file that moves forwards over what is taken.

    Nothing is allocated for a count or length before the file is known to be that long.
    """

    def __init__(
        self, source: Source, at: int, order: str, *, max_listed: int = MAX_LISTED_VALUES
    ) -> None:
        """`max_listed`: the elements of arrays up to this length are kept."""
        self._source = ReadAheadSource(source)
        self._structs = {code: Struct(order + code) for code in set(_CODES.values())}
        self._elements = 0
        self._max_listed = max_listed
        self.at = at

    def number(self, code: str) -> int:
        """The next integer; `code` is a format character of `struct`."""
        value = self._number(code)
        assert isinstance(value, int)
        return value

    def count(self, what: str, smallest_bytes: int) -> int:
        """The next u64, which counts things of at least `smallest_bytes` each."""
        at, count = self.at, self.number("Q")
        if count * smallest_bytes > self._source.size_bytes - self.at:
            raise self._refusal(f"{count} {what} do not fit into the file", at)
        return count

    def name(self, what: str, max_bytes: int) -> str:
        """The next string, which must be UTF-8 and not longer than `max_bytes`."""
        at, length = self.at, self.count(f"bytes of {what}", 1)
        if length > max_bytes:
            raise LimitError(
                f"{what} has {length} bytes, at most {max_bytes} are read",
                source=self._source.name,
                offset=at,
            )
        raw = self._take(length, what)
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise self._refusal(f"{what} is not UTF-8", at) from None

    def value(self, kind: int, max_bytes: int, depth: int = 0) -> GgufValue:
        """The next value of a type; of a string at most `max_bytes` are read, the rest skipped."""
        if kind == STRING:
            return self._text(max_bytes)
        if kind == ARRAY:
            return self._array(max_bytes, depth + 1)
        if kind not in _CODES:
            raise self._refusal(f"the value type {kind} is not known", self.at)
        at, value = self.at, self._number(_CODES[kind])
        if kind == _BOOL:
            if value not in (0, 1):
                raise self._refusal(f"a boolean is {value}", at)
            return bool(value)
        return _shortest(value) if kind == _FLOAT32 else value

    def _array(self, max_bytes: int, depth: int) -> GgufArray:
        at, kind = self.at, self.number("I")
        if kind not in (*_CODES, STRING, ARRAY):
            raise self._refusal(f"the element type {kind} is not known", at)
        if depth > MAX_GGUF_ARRAY_DEPTH:
            raise LimitError("arrays nest too deeply", source=self._source.name, offset=at)
        smallest = {STRING: _LENGTH_BYTES, ARRAY: _ARRAY_HEAD_BYTES}.get(kind) or (
            self._structs[_CODES[kind]].size
        )
        count = self.count("array elements", smallest)
        if kind != ARRAY and count <= self._max_listed:
            values = (self.value(kind, max_bytes) for _ in range(count))
            return GgufArray(count, tuple(v for v in values if not isinstance(v, GgufArray)))
        if kind in (STRING, ARRAY):
            self._elements += count
            if self._elements > MAX_GGUF_ELEMENTS:
                raise LimitError(
                    f"more than {MAX_GGUF_ELEMENTS} strings in arrays",
                    source=self._source.name,
                    offset=at,
                )
        if kind == STRING:
            self._skip_strings(count)
        elif kind == ARRAY:
            for _ in range(count):
                self._array(max_bytes, depth + 1)
        else:
            self.at += count * smallest
        return GgufArray(count)

    def _skip_strings(self, count: int) -> None:
        length = self._structs["Q"]
        chunk, at = b"", 0
        for left in range(count, 0, -1):
            if at + _LENGTH_BYTES > len(chunk):
                self.at += at
                at = 0
                # Not far beyond what these strings take at least: tensors may follow.
                wanted = min(_CHUNK_BYTES, left * _LENGTH_BYTES)
                chunk = self._source.read_at(self.at, wanted)
                if len(chunk) < _LENGTH_BYTES:
                    raise self._refusal("the file ends inside an array of strings", self.at)
            at += _LENGTH_BYTES + length.unpack_from(chunk, at)[0]
        self.at += at
        if self.at > self._source.size_bytes:
            raise self._refusal("the file ends inside an array of strings", self.at)

    def _text(self, max_bytes: int) -> str:
        length = self.count("bytes of a string", 1)
        raw = self._take(min(length, max_bytes), "a string")
        self.at += length - len(raw)
        return raw.decode("utf-8", "replace" if len(raw) == length else "ignore")

    def _number(self, code: str) -> int | float:
        layout = self._structs[code]
        value: int | float = layout.unpack(self._take(layout.size, "a number"))[0]
        return value

    def _take(self, length: int, what: str) -> bytes:
        raw = read_exactly(self._source, self.at, length, what)
        self.at += length
        return raw

    def _refusal(self, why: str, offset: int) -> MalformedError:
        return MalformedError(why, source=self._source.name, offset=offset)


def _shortest(value: float) -> float:
    """A float32 as the number with the fewest digits that is stored as it: 1e-05, not 9.99e-06."""
    for digits in range(6, 10):
        short = float(f"{value:.{digits}g}")
        if abs(short) < _MAX_FLOAT32 and unpack("<f", pack("<f", short))[0] == value:
            return short
    return value


_MAX_FLOAT32 = 3.4028235e38
