"""Pickles, one after the other: what each would import and call.

`cairn.formats.pickle_program` carries the opcodes out on inert values; here its records become
evidence. torch's checkpoints from before torch 1.6 are five pickles, and then their storages.
"""

import re
from typing import ClassVar

from cairn.domain import Source
from cairn.errors import UntrustedDataError
from cairn.formats import READERS
from cairn.formats.limits import HEAD_BYTES
from cairn.formats.pickle_program import PickleProgram, read_program
from cairn.formats.zip_archive import ZipArchive
from cairn.scanner.evidence.base import Unread
from cairn.scanner.extractor import Extractor
from cairn.scanner.joblib_arrays import JoblibArrays, as_others_read, has_arrays
from cairn.scanner.paths import base_name
from cairn.scanner.pickle_notes import note_deeds, note_hidden, note_program
from cairn.scanner.pickle_search import calls_a_name, imports_a_name, may_hold_pickles
from cairn.scanner.trace import Trace

# Enough to tell a text pickle from prose: its first object.
_PEEKED_OPCODES = 1000

# Pickles in one file: torch writes five.
_MAX_PICKLES = 10_000
_LEGACY_PICKLES = 5

# What people hand to unpicklers.
_UNPICKLED_SUFFIXES = (
    *(".bin", ".ckpt", ".dat", ".joblib", ".model", ".npy", ".p", ".pickle", ".pkl", ".pt", ".pth"),
    *(".sav", ".skops"),
)

# To an unpickler these begin with opcodes, P and STACK_GLOBAL, that make it give up at once.
_ZIP = b"PK\x03\x04"
_NO_PICKLES = (_ZIP, b"\x93NUMPY")
_WORDS = re.compile(rb"[\t\n\r\x20-\x7e]*")

_PADDING = b"\0"
_BLOCK_BYTES = 64 << 10


class PickleStreamExtractor(Extractor):
    """Content that an unpickler would begin to run."""

    version: ClassVar[int] = 6

    @property
    def name(self) -> str:
        """`pickle`."""
        return "pickle"

    def claims(self, head: bytes, source: Source) -> bool:
        """Protocol 2 and later by their first byte; earlier ones by what they would do.

        Prose may begin with letters that are opcodes. It is a pickle if it comes to an end, if it
        imports from a module known here (from any, where the name says that it is one; from none,
        where it is lines of words: `isympy` is a program), or if it calls something by a name that
        Python could import, maybe after a break. A zip archive begins with an opcode for which all
        unpicklers need a loader's help; one whose every byte belongs to a member is no pickle.
        """
        if head.startswith(b"\x80"):
            return True
        program = read_program(source, max_opcodes=_PEEKED_OPCODES)
        if program.failure is None or head.startswith(_NO_PICKLES):
            return program.failure is None and not _is_sound_zip(head, source)
        if program.opcodes > _PEEKED_OPCODES:  # no prose lasts as long
            return True
        unpickled = base_name(source).endswith(_UNPICKLED_SUFFIXES)
        if calls_a_name(program):
            return True
        if (unpickled or not _WORDS.fullmatch(head)) and imports_a_name(
            program, known=not unpickled
        ):
            return True
        return program.opcodes > 0 and may_hold_pickles(head)

    def extract(self, source: Source, trace: Trace) -> None:
        """Each pickle in turn; what follows the last one, unless it is zeros, is only searched."""
        legacy_reader = READERS.get("torch-legacy")
        legacy = legacy_reader.recognises(source.read_at(0, HEAD_BYTES), source)
        of_torch = legacy or bool(trace.members)
        at = 0
        for number in range(_LEGACY_PICKLES if legacy else _MAX_PICKLES):
            program = read_program(source, at)
            trace.program = trace.program or program
            if number and not program.opcodes:
                break
            if has_arrays(program):
                program = _with_arrays(program, at, source, trace)
            note_program(program, at, source, trace, of_torch=of_torch)
            if program.failure is not None:
                note_hidden(source, program.end, trace)
                return
            at = _after_padding(source, program)
            if at == source.size_bytes:
                return
        if legacy:
            legacy_reader.read(source)  # raises if anything but storages follows
            return
        trace.note(Unread(trace.at(at), f"{source.size_bytes - at} bytes follow the last pickle"))
        note_hidden(source, at, trace)


def _is_sound_zip(head: bytes, source: Source) -> bool:
    if not head.startswith(_ZIP):
        return False
    try:
        return not ZipArchive(source).stray_bytes
    except UntrustedDataError:
        return False


def _with_arrays(plain: PickleProgram, at: int, source: Source, trace: Trace) -> PickleProgram:
    """The program as joblib reads it; what it does to other unpicklers is noted as well."""
    arrays = JoblibArrays(source)
    program = read_program(source, at, bytes_after=arrays.bytes_after)
    note_deeds(as_others_read(plain, program, arrays.inner), 0, trace)
    for start, inner in arrays.inner:
        note_program(inner, start, source, trace, of_torch=False)
    return program


def _after_padding(source: Source, program: PickleProgram) -> int:
    at = program.end
    while at < source.size_bytes:
        block = source.read_at(at, min(_BLOCK_BYTES, source.size_bytes - at))
        rest = block.lstrip(_PADDING)
        if rest:
            return at + len(block) - len(rest)
        at += len(block)
    return at
