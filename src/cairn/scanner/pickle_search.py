"""Looks for pickles in the middle of other bytes: after a break, a last STOP, or as data.

Text and tensors may look like an opcode that names a global. So a place counts only if the
program that begins there goes on to call a name that Python could import.
"""

import heapq
import re
from collections.abc import Iterator
from typing import NamedTuple

from cairn.domain import Source
from cairn.errors import LimitError
from cairn.formats import BytesSource
from cairn.formats.pickle_program import AnomalyKind, Call, Global, PickleProgram, read_program
from cairn.scanner.dangerous import danger_of

# Enough to come from a name to the call of it, with many other names between.
_TRIED_OPCODES = 5000

# Steps of searching one file, a microsecond or two each: opcodes tried, and texts looked at that
# could be the first of two that STACK_GLOBAL takes. Noise takes one for some 40 bytes.
_MAX_STEPS = 300_000
_BYTES_PER_STEP = 16
_STEPS_OF_A_START = 10  # what it takes to begin with a program at all
_STEPS_OF_A_TEXT = 2
# A list of words, one a line, takes up to a third of it in the head of a file.
_STEPS_FOR_A_HEAD = 40_000

_NAME = rb"[A-Za-z_][A-Za-z0-9_.]{0,200}+"
_LONGEST_NAME = 201
_TWO_LINES = re.compile(rb"(?=[ci](" + _NAME + rb")\n(" + _NAME + rb")\n)")

_MEMO = re.compile(rb"\x94|q.|r....|p[0-9]{1,9}\n", re.DOTALL)
_WHOLE_NAME = re.compile(rb"(?P<name>" + _NAME + rb")")
_LINE = re.compile(rb"[VS]'?(?P<name>" + _NAME + rb")'?\n")
_TEXT_STARTS = re.compile(rb"[\x8cX\x8dUTVS]")
_LENGTH_BYTES = {0x8C: 1, ord("X"): 4, 0x8D: 8, ord("U"): 1, ord("T"): 4}
# The end of a name, a memo entry, and the opcode that imports what two names give; and how far
# before that the first of them may begin.
_TWO_NAMES_END = re.compile(rb"[A-Za-z0-9_.]'?\n?(?:\x94|q.|r....|p[0-9]{1,9}\n)?\x93", re.DOTALL)
_TWO_NAMES_BYTES = 2 * (_LONGEST_NAME + 25)


class SearchBudget:
    """What is left of the steps that searching one file may take; grows with what is searched."""

    def __init__(self, steps: int = _MAX_STEPS) -> None:
        self._steps = steps

    def grow(self, size_bytes: int) -> None:
        """Allow for more bytes to be searched."""
        self._steps += size_bytes // _BYTES_PER_STEP

    def spend(self, steps: int) -> None:
        """Account for steps.

        Raises:
            LimitError: there are none left.
        """
        self._steps -= steps
        if self._steps < 0:
            raise LimitError("too much in it looks like the beginning of a pickle")


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


def may_hold_pickles(head: bytes) -> bool:
    """Whether a program that calls a name begins in the head of a file; True if it takes long."""
    try:
        return any(find_pickles(head, SearchBudget(_STEPS_FOR_A_HEAD)))
    except LimitError:
        return True


def find_pickles(data: bytes, budget: SearchBudget) -> Iterator[PickleProgram]:
    """The programs that begin somewhere in some bytes and call a name; offsets count from them.

    Raises:
        LimitError: it takes more than the budget.
    """
    budget.grow(len(data))
    source = BytesSource(data)
    at = 0
    passed: dict[int, tuple[str, str]] = {}
    for beginning in heapq.merge(_names_on_lines(data), _names_on_the_stack(data, budget)):
        # A program that came by here on its way did whatever one that begins here would do.
        if beginning.at < at or passed.get(beginning.names_at, ()) == beginning.names:
            continue
        program = read_program(source, beginning.at, max_opcodes=_TRIED_OPCODES)
        budget.spend(program.opcodes + _STEPS_OF_A_START)
        if calls_a_name(program):
            yield program
            at = max(program.end, beginning.at + 1)
        elif program.opcodes <= _TRIED_OPCODES:
            passed.update((one.offset, (one.module, one.name)) for one in program.globals)


class _Beginning(NamedTuple):
    """Where a pickle may begin: the opcode that would import something, and what."""

    at: int
    names_at: int
    names: tuple[str, str]


def _names_on_lines(data: bytes) -> Iterator[_Beginning]:
    """Where GLOBAL or INST could stand, with two names on lines behind it."""
    for found in _TWO_LINES.finditer(data):
        names = (found[1].decode(), found[2].decode())
        yield _Beginning(found.start(), found.start(), names)


def _names_on_the_stack(data: bytes, budget: SearchBudget) -> Iterator[_Beginning]:
    """Where two texts begin that STACK_GLOBAL takes for names."""
    looked_at = 0
    for end in _TWO_NAMES_END.finditer(data):
        first = max(looked_at, end.end() - _TWO_NAMES_BYTES)
        looked_at = end.end()
        for text in _TEXT_STARTS.finditer(data, first, looked_at):
            budget.spend(_STEPS_OF_A_TEXT)
            module = _text_at(data, text.start())
            name = module and _text_at(data, module[1])
            if module and name and data[name[1] : name[1] + 1] == b"\x93":
                yield _Beginning(text.start(), name[1], (module[0], name[0]))


def _text_at(data: bytes, at: int) -> tuple[str, int] | None:
    """A text that is a name, and the offset behind its memo entry; None for any other."""
    if at >= len(data):
        return None
    length_bytes = _LENGTH_BYTES.get(data[at])
    if length_bytes:
        start = at + 1 + length_bytes
        length = int.from_bytes(data[at + 1 : start], "little")
        found = _WHOLE_NAME.fullmatch(data, start, start + min(length, _LONGEST_NAME + 1))
    else:
        found = _LINE.match(data, at)
    if not found:
        return None
    memo = _MEMO.match(data, found.end())
    return found["name"].decode(), memo.end() if memo else found.end()


def search(
    source: Source, start: int, stop: int, budget: SearchBudget
) -> Iterator[tuple[int, PickleProgram]]:
    """What `find_pickles` finds in a part of a source, with where the bytes begin that it counts.

    Blocks overlap, so that nothing hides on a border.

    Raises:
        LimitError: it takes more than the budget.
    """
    for at in range(start, stop, _BLOCK_BYTES - _OVERLAP_BYTES):
        for program in find_pickles(source.read_at(at, min(_BLOCK_BYTES, stop - at)), budget):
            yield at, program


_BLOCK_BYTES = 1 << 20
_OVERLAP_BYTES = 4 << 10


def _is_call_of_a_name(call: Call) -> bool:
    return isinstance(call.callee, Global) and _is_name(call.callee)


def _is_name(found: Global) -> bool:
    name = found.full_name if found.exact else found.module or found.name
    return all(part.isidentifier() for part in name.split("."))
