"""Zip archives as the most tolerant reader would take them: every local header, wherever it lies.

`cairn.formats.zip_archive` refuses archives whose parts contradict each other. Loaders differ in
which part they believe (CVE-2025-1944, CVE-2025-1945, CVE-2025-10156), so of such an archive
everything is looked at that one of them might reach. The byte table is in `zip_archive`.
"""

import itertools
import re
from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

from cairn.domain import Source
from cairn.errors import LimitError

_LOCAL = Struct("<4s5H3I2H")
_RECORD = Struct("<4s6H3I5H2I")
_END = Struct("<4s4H2IH")
_LOCAL_MAGIC, _RECORD_MAGIC, _END_MAGIC = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_LOCATOR_MAGIC = b"PK\x06\x07"
_LOCATOR_BYTES = 20
_MAGIC = re.compile(rb"PK(?:\x03\x04|\x01\x02|\x05\x06|\x06\x06)")
_BLOCK_BYTES = 4 << 20
_ENCRYPTED = 0x1

# Places looked at in one archive, some 20 microseconds each: two for each member.
_MAX_PLACES = 32_768

# The end record is followed by a comment of at most this many bytes.
MAX_TAIL_BYTES = 0xFFFF + _END.size


class LooseMember(NamedTuple):
    """What one local header says, and where its data may reach to at most."""

    name: str
    start: int
    stop: int
    method: int
    encrypted: bool


def ends_like_a_zip(source: Source) -> bool:
    """Whether a reader that looks for a directory from the end of the file would find one."""
    base = max(0, source.size_bytes - MAX_TAIL_BYTES)
    tail = source.read_at(base, MAX_TAIL_BYTES)
    at = tail.rfind(_END_MAGIC)
    while at >= 0:
        if at + _END.size <= len(tail) and _has_directory(source, base + at, tail[at:]):
            return True
        at = tail.rfind(_END_MAGIC, 0, at)
    return False


def _has_directory(source: Source, at: int, raw: bytes) -> bool:
    length = _END.unpack_from(raw)[5]
    if at >= _LOCATOR_BYTES and source.read_at(at - _LOCATOR_BYTES, 4) == _LOCATOR_MAGIC:
        return True
    return 0 < length <= at and source.read_at(at - length, 4) == _RECORD_MAGIC


def loose_members(source: Source) -> Iterator[LooseMember]:
    """The members that local headers anywhere in the source describe, in their order.

    Raises:
        LimitError: more than `_MAX_PLACES` of them.
    """
    places = itertools.chain(_places(source), (source.size_bytes,))
    for at, following in itertools.pairwise(places):
        raw = source.read_at(at, _LOCAL.size)
        if len(raw) < _LOCAL.size or not raw.startswith(_LOCAL_MAGIC):
            continue
        _, _, flags, method, _, _, _, _, _, name_bytes, extra_bytes = _LOCAL.unpack(raw)
        name = source.read_at(at + _LOCAL.size, name_bytes).decode("utf-8", "replace")
        start = min(at + _LOCAL.size + name_bytes + extra_bytes, following)
        yield LooseMember(name, start, following, method, bool(flags & _ENCRYPTED))


def directory_names(source: Source) -> Iterator[tuple[int, str]]:
    """The names that directory records anywhere in the source give, with their places."""
    for at in _places(source):
        raw = source.read_at(at, _RECORD.size)
        if len(raw) == _RECORD.size and raw.startswith(_RECORD_MAGIC):
            name_bytes = _RECORD.unpack(raw)[10]
            raw_name = source.read_at(at + _RECORD.size, name_bytes)
            yield at, raw_name.decode("utf-8", "replace")


def _places(source: Source) -> Iterator[int]:
    """Where the signatures of headers and records stand."""
    count = 0
    for base in range(0, source.size_bytes, _BLOCK_BYTES):
        block = source.read_at(base, _BLOCK_BYTES + len(_LOCAL_MAGIC) - 1)
        for found in _MAGIC.finditer(block):
            count += 1
            if count > _MAX_PLACES:
                raise LimitError(f"more than {_MAX_PLACES} zip headers and records")
            yield base + found.start()
