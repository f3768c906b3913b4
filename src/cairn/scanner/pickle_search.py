"""Looks for pickles in the middle of other bytes: after a break, a last STOP, or as data.

Text and tensors may look like an opcode that names a global. So a place counts only if the
program that begins there goes on to call a name that Python could import.
"""

import re
from collections.abc import Iterator

from cairn.domain import Source
from cairn.errors import LimitError
from cairn.formats import BytesSource
from cairn.formats.pickle_program import AnomalyKind, Call, Global, PickleProgram, read_program
from cairn.scanner.dangerous import danger_of

# Enough to come from a name to the call of it.
_TRIED_OPCODES = 200

# Places tried in one search, some 30 microseconds each.
_MAX_TRIED = 20_000

_NAME = rb"[A-Za-z_][A-Za-z0-9_.]{0,200}"
_MEMO = rb"(?:\x94|q.|r....|p[0-9]{1,9}\n)?"
_TEXT = rb"(?:\x8c.|X....|\x8d.{8}|U.|T....|[VS]'?)" + _NAME + rb"'?\n?" + _MEMO
_BEGINNING = re.compile(
    rb"[ci]" + _NAME + rb"\n" + _NAME + rb"\n|" + _TEXT + _TEXT + rb"\x93", re.DOTALL
)


def calls_a_name(program: PickleProgram) -> bool:
    """Whether a program calls something by a name that Python could import."""
    return any(map(_is_call_of_a_name, program.calls))


def imports_a_name(program: PickleProgram, *, known: bool) -> bool:
    """Whether a program imports a name that Python could import.

    `known`: from a module that the tables of dangers have; prose that begins with a c names others.
    A name that is no UTF-8 stops every unpickler before it imports anything.
    """
    undecodable = {
        anomaly.offset
        for anomaly in program.anomalies
        if anomaly.kind is AnomalyKind.TEXT_UNDECODABLE
    }
    return any(
        _is_name(found)
        and found.offset not in undecodable
        and (not known or danger_of(found.module) is not None)
        for found in program.globals
    )


def find_pickles(data: bytes) -> Iterator[PickleProgram]:
    """The programs that begin somewhere in some bytes and call a name; offsets count from them.

    Raises:
        LimitError: too many places look like one.
    """
    source = BytesSource(data)
    at = tried = 0
    while found := _BEGINNING.search(data, at):
        tried += 1
        if tried > _MAX_TRIED:
            raise LimitError(f"more than {_MAX_TRIED} places look like the beginning of a pickle")
        program = read_program(source, found.start(), max_opcodes=_TRIED_OPCODES)
        calls = calls_a_name(program)
        if calls:
            yield program
        at = max(program.end, found.end()) if calls else found.start() + 1


def search(source: Source, start: int, stop: int) -> Iterator[tuple[int, PickleProgram]]:
    """What `find_pickles` finds in a part of a source, with where the bytes begin that it counts.

    Blocks overlap, so that nothing hides on a border.

    Raises:
        LimitError: too many places look like one.
    """
    for at in range(start, stop, _BLOCK_BYTES - _OVERLAP_BYTES):
        for program in find_pickles(source.read_at(at, min(_BLOCK_BYTES, stop - at))):
            yield at, program


_BLOCK_BYTES = 1 << 20
_OVERLAP_BYTES = 4 << 10


def _is_call_of_a_name(call: Call) -> bool:
    return isinstance(call.callee, Global) and _is_name(call.callee)


def _is_name(found: Global) -> bool:
    name = found.full_name if found.exact else found.module or found.name
    return all(part.isidentifier() for part in name.split("."))
