"""What tensors begin with: numbers, or a program, pickle or archive that travels as numbers."""

from collections.abc import Iterable

from cairn.domain import Source, TensorInfo
from cairn.formats.pickle_program import read_program
from cairn.formats.sources import WindowSource
from cairn.scanner.evidence.contents import Program
from cairn.scanner.machine_code import PROGRAM_HEAD_BYTES, program_family
from cairn.scanner.trace import Trace

_PEEKED_OPCODES = 1000
_ARCHIVES = {
    b"PK\x03\x04": "zip archive",
    b"7z\xbc\xaf\x27\x1c": "7z archive",
    b"Rar!\x1a\x07": "RAR archive",
}


def note_tensor_starts(source: Source, tensors: Iterable[TensorInfo], trace: Trace) -> None:
    """Note tensors whose first bytes are those of a program, a pickle that imports, an archive."""
    for tensor in tensors:
        span = tensor.span
        if span.stop <= span.start or span.stop > source.size_bytes:
            continue
        head = source.read_at(span.start, min(PROGRAM_HEAD_BYTES, span.size_bytes))
        family = program_family(head) or _archive(head)
        if not family and head[:1] == b"\x80" and b"\x02" <= head[1:2] <= b"\x05":
            family = _pickle(WindowSource(source, span.start, span.stop))
        if family:
            trace.note(Program(trace.at(span.start, tensor.name[:300]), family))


def _archive(head: bytes) -> str:
    return next((name for magic, name in _ARCHIVES.items() if head.startswith(magic)), "")


def _pickle(source: Source) -> str:
    program = read_program(source, max_opcodes=_PEEKED_OPCODES)
    for found in program.globals:
        if all(part.isidentifier() for part in found.full_name.split(".")):
            return f"pickle that imports {found.full_name}"[:300]
    return ""
