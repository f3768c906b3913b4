"""Pickles put together opcode by opcode, for attacks that no pickler would write.

They stay bytes: nothing here, and no test, ever unpickles them. Arguments are harmless all the
same.
"""

import struct

STOP = b"."
TRUE = b"\x8c\x04true"
"""The argument of whatever is called: a command that does nothing."""


def text(value: str) -> bytes:
    """SHORT_BINUNICODE."""
    raw = value.encode("utf-8", "surrogatepass")
    return b"\x8c" + bytes([len(raw)]) + raw


def raw(value: bytes) -> bytes:
    """BINBYTES."""
    return b"B" + struct.pack("<I", len(value)) + value


def named(module: str, name: str) -> bytes:
    """STACK_GLOBAL of two constant strings."""
    return text(module) + text(name) + b"\x93"


def called(module: str, name: str, *arguments: bytes) -> bytes:
    """A REDUCE of a name with arguments, the result on the stack."""
    return named(module, name) + b"(" + b"".join(arguments or (TRUE,)) + b"tR"


def program(*parts: bytes, protocol: int = 4) -> bytes:
    """A pickle that does what its parts do, one after the other, and returns the last result."""
    return b"\x80" + bytes([protocol]) + b"0".join(parts) + STOP


SYSTEM = b"\x80\x02cos\nsystem\nX\x04\0\0\0true\x85R."
"""The plainest attack."""
