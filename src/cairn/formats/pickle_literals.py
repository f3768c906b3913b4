"""The newline-terminated literals of pickle protocol 0, as CPython's parsers read them.

They disagree: the C unpickler reads `I` with `strtol(base 0)`, so `I017` is 15; the Python one
uses `int(text, 0)`, which refuses it; pickletools uses `int(text)`, which gives 17. A literal
on which they differ comes back as `Disputed` with the reading of the C unpickler.
"""

import re
from dataclasses import dataclass

from cairn.formats.pickle_values import AnomalyKind, Value

_PLAIN_INT = re.compile(rb"-?(0|[1-9][0-9]*)\Z")
_PLAIN_FLOAT = re.compile(rb"-?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?\Z|-?(inf|nan)\Z")
_C_OCTAL = re.compile(rb"\s*([-+]?)0([0-7]+)\Z")
_ESCAPE = re.compile(rb"\\(\n|\\|'|\"|[abfnrtv]|[0-7]{1,3}|x[0-9a-fA-F]{2})")
_SIMPLE_ESCAPES = {
    b"\n": b"",
    b"\\": b"\\",
    b"'": b"'",
    b'"': b'"',
    b"a": b"\a",
    b"b": b"\b",
    b"f": b"\f",
    b"n": b"\n",
    b"r": b"\r",
    b"t": b"\t",
    b"v": b"\v",
}
# Python refuses longer ones anyway (sys.int_info.default_max_str_digits is 4300).
_MAX_DIGITS = 4300


@dataclass(frozen=True, slots=True)
class Disputed:
    """A value on which parsers disagree, and why."""

    value: Value
    kind: AnomalyKind
    detail: str


def decimal(line: bytes) -> Value:
    """The argument of INT: an integer, or `00` and `01` for False and True."""
    if line in (b"00", b"01"):
        return line == b"01"
    return _integer(line)


def long_decimal(line: bytes) -> Value:
    """The argument of LONG: an integer with or without a final `L`."""
    return _integer(line[:-1] if line[-1:] == b"L" else line)


def _integer(line: bytes) -> Value:
    if len(line) > _MAX_DIGITS:
        raise ValueError(f"an integer literal of {len(line)} characters")
    if _PLAIN_INT.match(line):
        return int(line)
    detail = f"integer literal {line[:40]!r}"
    line = _before_nul(line)
    octal = _C_OCTAL.match(line)
    try:
        value = int(octal[1] + octal[2], 8) if octal else int(line.decode("ascii"), 0)
    except ValueError:
        raise ValueError(f"{line[:40]!r} is not an integer") from None
    return Disputed(value, AnomalyKind.LITERAL_DISPUTED, detail)


def memo_index(line: bytes) -> Value:
    """The argument of GET and PUT: always decimal, but with the blanks and `_` of `int()`."""
    try:
        value = int(_before_nul(line)) if len(line) <= _MAX_DIGITS else -1
    except ValueError:
        value = -1
    if value < 0:
        raise ValueError(f"{line[:40]!r} is not a memo index")
    if line.isdigit():
        return value
    return Disputed(value, AnomalyKind.LITERAL_DISPUTED, f"memo index {line[:40]!r}")


def _before_nul(line: bytes) -> bytes:
    """What C's number parsers see of a line: they stop at a NUL and are content."""
    return line.partition(b"\0")[0]


def fraction(line: bytes) -> Value:
    """The argument of FLOAT."""
    if len(line) > _MAX_DIGITS:
        raise ValueError(f"a float literal of {len(line)} characters")
    try:
        value = float(_before_nul(line).decode("ascii"))
    except ValueError:
        raise ValueError(f"{line[:40]!r} is not a float") from None
    if _PLAIN_FLOAT.match(line):
        return value
    return Disputed(value, AnomalyKind.LITERAL_DISPUTED, f"float literal {line[:40]!r}")


def quoted(line: bytes) -> Value:
    """The argument of STRING: a quoted Python 2 string with backslash escapes."""
    text = line
    disputed = ""
    if text != text.strip():
        text = text.strip()
        disputed = "blanks around a string literal"
    if len(text) < 2 or text[0] != text[-1] or text[:1] not in (b"'", b'"'):
        raise ValueError(f"the string literal {line[:40]!r} is not quoted")
    data = _unescaped(text[1:-1])
    if not data.isascii():
        disputed = "8-bit characters in a string literal"
    value = data.decode("latin-1")
    return Disputed(value, AnomalyKind.LITERAL_DISPUTED, disputed) if disputed else value


def raw_text(line: bytes) -> Value:
    """The argument of UNICODE: raw-unicode-escape text."""
    try:
        return line.decode("raw-unicode-escape")
    except UnicodeDecodeError:
        value = line.decode("latin-1")
        return Disputed(value, AnomalyKind.TEXT_UNDECODABLE, "raw-unicode-escape text")


def _unescaped(data: bytes) -> bytes:
    def plain(match: re.Match[bytes]) -> bytes:
        escape = match[1]
        if escape in _SIMPLE_ESCAPES:
            return _SIMPLE_ESCAPES[escape]
        if escape[:1] == b"x":
            return bytes([int(escape[1:], 16)])
        return bytes([int(escape, 8) & 0xFF])

    return _ESCAPE.sub(plain, data) if b"\\" in data else data
