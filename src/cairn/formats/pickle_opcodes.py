"""The opcodes of pickle protocols 0 to 5: names, numbers, and how arguments are laid out.

Sources: `Lib/pickletools.py` and `Modules/_pickle.c` of CPython 3.14; PEP 307, 3154, 574.
Arguments are taken as any of CPython's three parsers (C, Python, pickletools) takes them, and it is
said where they would differ; none of them goes on where reading stops here.
"""

from collections.abc import Callable
from struct import unpack

from cairn.errors import MalformedError
from cairn.formats.limits import MAX_PICKLE_INLINE_BYTES, MAX_PICKLE_LONG_BYTES
from cairn.formats.pickle_literals import (
    Disputed,
    decimal,
    fraction,
    long_decimal,
    memo_index,
    quoted,
    raw_text,
)
from cairn.formats.pickle_tape import Tape
from cairn.formats.pickle_values import AnomalyKind, Payload, Value

Argument = Value

NAMES: dict[int, str] = {
    0x28: "MARK",
    0x2E: "STOP",
    0x30: "POP",
    0x31: "POP_MARK",
    0x32: "DUP",
    0x46: "FLOAT",
    0x49: "INT",
    0x4A: "BININT",
    0x4B: "BININT1",
    0x4C: "LONG",
    0x4D: "BININT2",
    0x4E: "NONE",
    0x50: "PERSID",
    0x51: "BINPERSID",
    0x52: "REDUCE",
    0x53: "STRING",
    0x54: "BINSTRING",
    0x55: "SHORT_BINSTRING",
    0x56: "UNICODE",
    0x58: "BINUNICODE",
    0x61: "APPEND",
    0x62: "BUILD",
    0x63: "GLOBAL",
    0x64: "DICT",
    0x7D: "EMPTY_DICT",
    0x65: "APPENDS",
    0x67: "GET",
    0x68: "BINGET",
    0x69: "INST",
    0x6A: "LONG_BINGET",
    0x6C: "LIST",
    0x5D: "EMPTY_LIST",
    0x6F: "OBJ",
    0x70: "PUT",
    0x71: "BINPUT",
    0x72: "LONG_BINPUT",
    0x73: "SETITEM",
    0x74: "TUPLE",
    0x29: "EMPTY_TUPLE",
    0x75: "SETITEMS",
    0x47: "BINFLOAT",
    0x80: "PROTO",
    0x81: "NEWOBJ",
    0x82: "EXT1",
    0x83: "EXT2",
    0x84: "EXT4",
    0x85: "TUPLE1",
    0x86: "TUPLE2",
    0x87: "TUPLE3",
    0x88: "NEWTRUE",
    0x89: "NEWFALSE",
    0x8A: "LONG1",
    0x8B: "LONG4",
    0x42: "BINBYTES",
    0x43: "SHORT_BINBYTES",
    0x8C: "SHORT_BINUNICODE",
    0x8D: "BINUNICODE8",
    0x8E: "BINBYTES8",
    0x8F: "EMPTY_SET",
    0x90: "ADDITEMS",
    0x91: "FROZENSET",
    0x92: "NEWOBJ_EX",
    0x93: "STACK_GLOBAL",
    0x94: "MEMOIZE",
    0x95: "FRAME",
    0x96: "BYTEARRAY8",
    0x97: "NEXT_BUFFER",
    0x98: "READONLY_BUFFER",
}
CODES: dict[str, int] = {name: code for code, name in NAMES.items()}


def _unsigned(size: int) -> Callable[[Tape], int]:
    return lambda tape: int.from_bytes(tape.take(size), "little")


def _signed4(tape: Tape) -> int:
    return int.from_bytes(tape.take(4), "little", signed=True)


def _text_payload(length_bytes: int) -> Callable[[Tape], Argument]:
    from_bytes = int.from_bytes

    def read(tape: Tape) -> Argument:
        start = tape.at + length_bytes
        length = from_bytes(tape.block[tape.at : start], "little")
        end = start + length
        if end <= len(tape.block) and length <= MAX_PICKLE_INLINE_BYTES:
            data = tape.block[start:end]  # nearly all texts, at a third of the cost
            tape.at = end
        else:
            length = from_bytes(tape.take(length_bytes), "little")
            if length > MAX_PICKLE_INLINE_BYTES:
                return Payload(*tape.skip(length), "str")
            data = tape.take(length)
        try:
            return data.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            # CPython raises here; what follows is read all the same, see the module docstring.
            return Disputed(data.decode("latin-1"), AnomalyKind.TEXT_UNDECODABLE, "not UTF-8")

    return read


def _bytes_payload(length_bytes: int) -> Callable[[Tape], Argument]:
    def read(tape: Tape) -> Argument:
        length = int.from_bytes(tape.take(length_bytes), "little")
        if length > tape.inline_bytes:
            return Payload(*tape.skip(length), "bytes")
        tape.longest_bytes = max(tape.longest_bytes, length)
        return tape.take(length)

    return read


def _string_payload(length_bytes: int) -> Callable[[Tape], Argument]:
    """A Python 2 string: torch decodes it as UTF-8, pickle by default as ASCII."""

    def read(tape: Tape) -> Argument:
        length = int.from_bytes(tape.take(length_bytes), "little", signed=length_bytes == 4)
        if length < 0:
            raise MalformedError(f"a string of {length} bytes", source=tape.name)
        if length > MAX_PICKLE_INLINE_BYTES:
            return Payload(*tape.skip(length), "bytes")
        data = tape.take(length)
        if data.isascii():
            return data.decode("ascii")
        return Disputed(data.decode("latin-1"), AnomalyKind.LITERAL_DISPUTED, "8-bit string")

    return read


def _long_payload(length_bytes: int) -> Callable[[Tape], Argument]:
    def read(tape: Tape) -> Argument:
        length = int.from_bytes(tape.take(length_bytes), "little", signed=length_bytes == 4)
        if length < 0:
            raise MalformedError(f"an integer of {length} bytes", source=tape.name)
        if length > MAX_PICKLE_LONG_BYTES:
            return Payload(*tape.skip(length), "int")
        return int.from_bytes(tape.take(length), "little", signed=True)

    return read


def _float8(tape: Tape) -> float:
    value: float = unpack(">d", tape.take(8))[0]
    return value


def _name_pair(tape: Tape) -> Argument:
    module, name = tape.line(), tape.line()
    try:
        return module.decode("utf-8"), name.decode("utf-8")
    except UnicodeDecodeError:
        names = (module.decode("latin-1"), name.decode("latin-1"))
        return Disputed(names, AnomalyKind.TEXT_UNDECODABLE, "a global's name")


def _persistent(tape: Tape) -> Argument:
    line = tape.line()
    if line.isascii():
        return line.decode("ascii")
    return Disputed(line.decode("latin-1"), AnomalyKind.TEXT_UNDECODABLE, "a persistent id")


def _unknown(code: int) -> Callable[[Tape], Argument]:
    def read(tape: Tape) -> Argument:
        raise MalformedError(
            f"no pickle opcode has the number 0x{code:02x}", source=tape.name, offset=tape.opcode
        )

    return read


def _literal(parse: Callable[[bytes], Argument]) -> Callable[[Tape], Argument]:
    def read(tape: Tape) -> Argument:
        start = tape.position
        try:
            return parse(tape.line())
        except ValueError as error:
            raise MalformedError(str(error), source=tape.name, offset=start) from None

    return read


_BY_CODE: dict[int, Callable[[Tape], Argument]] = {
    CODES["FLOAT"]: _literal(fraction),
    CODES["INT"]: _literal(decimal),
    CODES["LONG"]: _literal(long_decimal),
    CODES["STRING"]: _literal(quoted),
    CODES["UNICODE"]: _literal(raw_text),
    CODES["BININT"]: _signed4,
    CODES["LONG1"]: _long_payload(1),
    CODES["LONG4"]: _long_payload(4),
    CODES["BINFLOAT"]: _float8,
    CODES["BINSTRING"]: _string_payload(4),
    CODES["SHORT_BINSTRING"]: _string_payload(1),
    CODES["SHORT_BINUNICODE"]: _text_payload(1),
    CODES["BINUNICODE"]: _text_payload(4),
    CODES["BINUNICODE8"]: _text_payload(8),
    CODES["SHORT_BINBYTES"]: _bytes_payload(1),
    CODES["BINBYTES"]: _bytes_payload(4),
    CODES["BINBYTES8"]: _bytes_payload(8),
    CODES["BYTEARRAY8"]: _bytes_payload(8),
    CODES["GLOBAL"]: _name_pair,
    CODES["INST"]: _name_pair,
    CODES["PERSID"]: _persistent,
    CODES["GET"]: _literal(memo_index),
    CODES["PUT"]: _literal(memo_index),
    CODES["EXT4"]: _signed4,
}
_UNSIGNED = {
    **dict.fromkeys(("BININT1", "BINGET", "BINPUT", "PROTO", "EXT1"), 1),
    **dict.fromkeys(("BININT2", "EXT2"), 2),
    **dict.fromkeys(("LONG_BINGET", "LONG_BINPUT"), 4),
    "FRAME": 8,
}
_BY_CODE |= {CODES[name]: _unsigned(width) for name, width in _UNSIGNED.items()}

READERS = [_BY_CODE.get(code) or _unknown(code) for code in range(256)]
"""What reads the argument of each opcode that has one."""

_OTHERS = -1
WIDTHS = [
    _UNSIGNED.get(NAMES[code], _OTHERS if code in _BY_CODE else 0) if code in NAMES else _OTHERS
    for code in range(256)
]
"""Bytes of each opcode's argument: 0 for none, -1 where it is no unsigned number of fixed width."""
