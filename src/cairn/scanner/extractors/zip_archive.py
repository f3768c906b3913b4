"""Zip archives: torch checkpoints, npz, and any other. Members are examined as if they were files.

An archive that a strict reader refuses is noted as broken, and everything that a tolerant one
might reach is examined all the same.
"""

import re
from typing import ClassVar
from zlib import crc32

from cairn.domain import Source, Span
from cairn.errors import UntrustedDataError
from cairn.formats import READERS, BytesSource, WindowSource
from cairn.formats.limits import HEAD_BYTES
from cairn.formats.pickle_opcodes import NAMES
from cairn.formats.pickle_program import PickleProgram, read_program
from cairn.formats.read_programs import ReadPrograms
from cairn.formats.zip_archive import Member, ZipArchive
from cairn.formats.zip_directory import archives_end_to_end
from cairn.scanner.evidence.archives import Encrypted, MemberName
from cairn.scanner.evidence.base import Broken
from cairn.scanner.evidence.contents import Reference
from cairn.scanner.extractor import Extractor
from cairn.scanner.inflating import inflated
from cairn.scanner.loose_zip import LooseMember, directory_names, ends_like_a_zip, loose_members
from cairn.scanner.paths import base_name, climbs, is_absolute
from cairn.scanner.pickle_search import calls_a_name
from cairn.scanner.trace import Trace

_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
_STORED = 0
# torch's distributed checkpoints: an archive for each tensor, one after the other. Under any other
# name two archives in one file are a trick: some loaders take the first, others the last.
_ARCHIVES_IN_A_ROW = ".distcp"
_PATH_BYTES = 300
_METHODS = {8: "deflate", 12: "bzip2"}

# Members that torch reads as the bytes of tensors, in archives that have one of these marks.
_STORAGE = re.compile(r"(?P<top>[^/]+)/(data|constants|data/weights|data/constants)/[^/]+\Z")
_TORCH_MARKS = ("/data.pkl", "/archive_format")
_TORCH_READERS = ("torch-zip", "torchscript", "torch-export")

# Numbers that are opcodes all the way: nearly all tensors are not after a few.
_PEEKED_OPCODES = 1000
_SEARCHED_OPCODES = 1_000_000
_BLOCK_BYTES = 4 << 20
_HELD_BYTES = 64 << 10
_PICKLES = ("/data.pkl", "/constants.pkl")  # what laying out a torch archive takes


class ZipExtractor(Extractor):
    """Content that some reader of zip archives takes."""

    version: ClassVar[int] = 4

    @property
    def name(self) -> str:
        """`zip`."""
        return "zip"

    def claims(self, head: bytes, source: Source) -> bool:
        """Where a local header stands first, or a directory last."""
        return head.startswith(_STARTS) or ends_like_a_zip(source)

    def extract(self, source: Source, trace: Trace) -> None:
        """The members as a strict reader sees them, or as any reader might."""
        spans = _in_a_row(source)
        for span in spans:
            name = f"item@{span.start}"
            trace.enter(name, WindowSource(source, span.start, span.stop, name))
        if spans:
            return
        try:
            archive = ZipArchive(source)
        except UntrustedDataError as error:
            trace.refuse(error)
            _examine_loosely(source, trace)
            return
        if archive.stray_bytes:
            trace.note(
                Broken(trace.at(), f"{archive.stray_bytes} bytes between members belong to none")
            )
            _examine_loosely(source, trace)
        tops = _torch_folders(archive)
        of_script = _is_script(archive)
        programs: dict[str, PickleProgram] = {}
        for member in archive:
            _note_name(member.name, member.data.start, trace)
            if member.is_link:
                target = source.read_at(member.data.start, min(member.data.size_bytes, _PATH_BYTES))
                place = trace.at(member.data.start)
                trace.note(Reference(place, "zip link", target.decode("utf-8", "replace")))
            found = _STORAGE.match(member.name)
            if not (member.stored and found and found["top"] in tops):
                program = _examine_member(member, source, trace, of_script=of_script)
                if program is not None and member.name.endswith(_PICKLES):
                    programs[member.name] = program
            elif _runs(_window(source, member)):
                trace.enter(member.name, _window(source, member))
        if tops:
            _check_tensors(ReadPrograms(source, programs))


def _in_a_row(source: Source) -> list[Span]:
    """The archives of a file that is called a distributed checkpoint and has several, no gaps."""
    if not base_name(source).endswith(_ARCHIVES_IN_A_ROW):
        return []
    try:
        spans = archives_end_to_end(source)
    except UntrustedDataError:
        return []
    return spans if len(spans) > 1 else []


def _torch_folders(archive: ZipArchive) -> set[str]:
    return {
        member.name.removesuffix(mark)
        for member in archive
        for mark in _TORCH_MARKS
        if member.name.endswith(mark)
    }


def _is_script(archive: ZipArchive) -> bool:
    """Whether TorchScript's loader takes it: constants, and code that defines its classes."""
    names = [member.name for member in archive]
    return any(name.endswith("/constants.pkl") for name in names) and any(
        "/code/__torch__" in name for name in names
    )


def _window(source: Source, member: Member) -> Source:
    return WindowSource(source, member.data.start, member.data.stop, member.name)


def _examine_member(
    member: Member, source: Source, trace: Trace, *, of_script: bool
) -> PickleProgram | None:
    """Examine a member whose headers agree; its checksum as well."""
    content: Source = _window(source, member)
    if member.stored and member.size_bytes <= _HELD_BYTES:  # every extractor reads its head
        content = BytesSource(content.read_at(0, member.size_bytes), member.name)
    start = member.data.start
    if not member.stored:
        try:
            plain, packed = inflated(content, 0, content.size_bytes, "deflate", trace)
        except UntrustedDataError as error:
            trace.refuse(error)
            return None
        content = BytesSource(plain, member.name)
        if packed != member.data.size_bytes or len(plain) != member.size_bytes:
            trace.note(Broken(trace.at(start), f"{member.name} does not inflate as declared"))
    trace.spend(content.size_bytes)
    if _checksum(content) != member.crc:
        trace.note(Broken(trace.at(start), f"the CRC-32 of {member.name} is wrong"))
    return trace.enter(member.name, content, of_script=of_script)


def _examine_loosely(source: Source, trace: Trace) -> None:
    """Examine whatever the local headers describe, as it is stored and as it inflates."""
    trace.spend(source.size_bytes)
    for member in loose_members(source):
        _note_name(member.name, member.start, trace)
        stored = WindowSource(source, member.start, member.stop, member.name)
        if member.encrypted:
            trace.note(Encrypted(trace.at(member.start), member.name))
        if member.method == _STORED or _runs(stored):
            trace.enter(member.name, stored)
        _examine_inflated(member, source, trace)
    for at, name in directory_names(source):
        _note_name(name, at, trace)


def _examine_inflated(member: LooseMember, source: Source, trace: Trace) -> None:
    """What a reader finds that inflates the member; nothing where that is not possible."""
    method = _METHODS.get(member.method, "deflate")
    try:
        plain, _ = inflated(source, member.start, member.stop, method, trace)
    except UntrustedDataError as error:
        if member.method != _STORED:
            trace.refuse(error)
        return
    trace.enter(member.name, BytesSource(plain, member.name))


def _note_name(name: str, at: int, trace: Trace) -> None:
    if climbs(name) or is_absolute(name):
        trace.note(MemberName(trace.at(at), name))


def _runs(content: Source) -> bool:
    """Whether bytes that should be a tensor's are a program or an archive."""
    start = content.read_at(0, 4)
    if start in _STARTS:
        return True
    if not start or start[0] not in NAMES:  # three of four tensors begin with no opcode
        return False
    for most in (_PEEKED_OPCODES, _SEARCHED_OPCODES):
        program = read_program(content, max_opcodes=most)
        if program.opcodes <= most:
            return calls_a_name(program)
    return True  # neither ends nor breaks off: examined as a pickle, it says why


def _checksum(content: Source) -> int:
    crc = 0
    for at in range(0, content.size_bytes, _BLOCK_BYTES):
        crc = crc32(content.read_at(at, _BLOCK_BYTES), crc)
    return crc


def _check_tensors(source: Source) -> None:
    """Have the tensors laid out: each must lie inside its storage.

    Raises:
        MalformedError: one does not.
    """
    head = source.read_at(0, HEAD_BYTES)
    for reader in map(READERS.get, _TORCH_READERS):
        if reader.recognises(head, source):
            reader.read(source)
            return
