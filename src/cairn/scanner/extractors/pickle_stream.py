"""Pickles, one after the other: what each would import and call.

`cairn.formats.pickle_program` carries the opcodes out on inert values; here its records become
evidence, each kind of import and call once. A program that breaks off did everything before.
"""

from cairn.domain import Source
from cairn.formats.pickle_program import Call, Extension, Global, PickleProgram, read_program
from cairn.scanner.evidence.base import Form, Unread
from cairn.scanner.evidence.pickles import CalledName, ImportedName, Oddity, PickleEnd
from cairn.scanner.extractor import Extractor
from cairn.scanner.trace import Trace

# Enough to tell a text pickle from prose: its first object.
_PEEKED_OPCODES = 1000

# Pickles in one file: torch writes five, joblib one for each array.
_MAX_PICKLES = 10_000

_PADDING = b"\0"
_BLOCK_BYTES = 64 << 10


class PickleStreamExtractor(Extractor):
    """Content that an unpickler would begin to run."""

    @property
    def name(self) -> str:
        """`pickle`."""
        return "pickle"

    def claims(self, head: bytes, source: Source) -> bool:
        """Protocol 2 and later by their first byte; earlier ones by what they would do.

        Prose may begin with letters that are opcodes. It is a pickle if it comes to an end, or
        if it calls something by a name that Python could import.
        """
        if head.startswith(b"\x80"):
            return True
        program = read_program(source, max_opcodes=_PEEKED_OPCODES)
        return program.failure is None or any(map(_is_call_of_a_name, program.calls))

    def extract(self, source: Source, trace: Trace) -> None:
        """Each pickle in turn; what follows the last one, unless it is zeros, is not read."""
        at = 0
        for _ in range(_MAX_PICKLES):
            program = read_program(source, at)
            if at and not program.opcodes:
                break
            _note_program(program, at, trace)
            if program.failure is not None:
                return
            at = _after_padding(source, program.end)
            if at == source.size_bytes:
                return
        trace.note(Unread(trace.at(at), f"{source.size_bytes - at} bytes follow the last pickle"))


def _is_call_of_a_name(call: Call) -> bool:
    callee = call.callee
    if not isinstance(callee, Global) or not callee.exact:
        return False
    return all(part.isidentifier() for part in callee.full_name.split("."))


def _note_program(program: PickleProgram, start: int, trace: Trace) -> None:
    trace.note(Form(trace.at(start), f"pickle protocol {program.protocol}"))
    seen: set[tuple[str, ...]] = set()
    for found in program.globals:
        key = ("import", found.module, found.name, str(found.exact))
        if key not in seen:
            seen.add(key)
            place = trace.at(found.offset)
            trace.note(ImportedName(place, found.module, found.name, found.exact))
    for call in program.calls:
        _note_call(call, seen, trace)
    for anomaly in program.anomalies:
        trace.note(Oddity(trace.at(anomaly.offset), anomaly.kind.name, anomaly.detail))
    problem = "" if program.failure is None else program.failure.what
    trace.note(PickleEnd(trace.at(program.end), program.opcodes, problem))


def _note_call(call: Call, seen: set[tuple[str, ...]], trace: Trace) -> None:
    callee = call.callee
    place = trace.at(call.offset)
    if isinstance(callee, Extension):
        trace.note(ImportedName(place, "copyreg", "extension", exact=False, extension=callee.code))
        return
    module, name = ("", "") if not isinstance(callee, Global) else (callee.module, callee.name)
    key = ("call", module, name, call.via)
    if key not in seen:
        seen.add(key)
        trace.note(CalledName(place, module, name, call.via))


def _after_padding(source: Source, at: int) -> int:
    while at < source.size_bytes:
        block = source.read_at(at, min(_BLOCK_BYTES, source.size_bytes - at))
        rest = block.lstrip(_PADDING)
        if rest:
            return at + len(block) - len(rest)
        at += len(block)
    return at
