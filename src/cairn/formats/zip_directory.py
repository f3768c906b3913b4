"""The end records and the central directory of a zip file, parsed and cross-checked.

The byte table and the specification are in `zip_archive`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from stat import S_ISLNK
from struct import Struct

from cairn.domain import Source, Span
from cairn.errors import LimitError, MalformedError, UntrustedDataError
from cairn.formats.limits import MAX_STREAMS
from cairn.formats.sources import read_exactly

_END = Struct("<4s4H2IH")
_END_MAGIC = b"PK\x05\x06"
_LOCATOR = Struct("<4sIQI")
_LOCATOR_MAGIC = b"PK\x06\x07"
_END64 = Struct("<4sQ2H2I4Q")
_END64_MAGIC = b"PK\x06\x06"
_END64_REST = _END64.size - 12  # the record's own size field does not count itself
_RECORD = Struct("<4s6H3I5H2I")
_RECORD_MAGIC = b"PK\x01\x02"
_EXTRA = Struct("<2H")
_ZIP64_EXTRA = 1
_UNIXES = (3, 19)  # hosts whose attributes begin with a mode: Unix, macOS
_WIDE16, _WIDE32 = 0xFFFF, 0xFFFFFFFF

# Bit 3: a data descriptor follows. Bit 11: the name is UTF-8. All others (encryption, patches,
# masked headers) change how bytes are to be read (CVE-2025-1945).
_ALLOWED_FLAGS = 0x8 | 0x800


@dataclass(frozen=True, slots=True)
class DirectoryPlace:
    """Where the central directory lies and how many members it lists."""

    span: Span
    members: int


@dataclass(frozen=True, slots=True)
class Record:
    """One member as the central directory describes it, zip64 resolved.

    `is_link`: a program that unpacks it would make a symbolic link of it, to what it holds.
    """

    name: bytes
    flags: int
    method: int
    crc: int
    packed_bytes: int
    plain_bytes: int
    offset: int
    is_link: bool


def find_directory(source: Source) -> DirectoryPlace:
    """Locate the central directory from the end of the file.

    Raises:
        MalformedError: no end record at the very end, a comment, several disks, or records
            that contradict each other.
    """
    size = source.size_bytes
    at = size - _END.size
    if at < 0:
        raise MalformedError("too short for a zip archive", source=source.name)
    raw = read_exactly(source, at, _END.size, "the zip end record")
    magic, disk, first_disk, here, total, length, start, comment = _END.unpack(raw)
    if magic != _END_MAGIC or comment:
        raise MalformedError(
            "no zip end record at the end of the file",
            source=source.name,
            offset=at,
            hint="The file is truncated, or bytes or a comment were appended",
        )
    if disk or first_disk or here != total:
        raise MalformedError("the archive spans several disks", source=source.name, offset=at)
    short = (total, length, start)
    place = _wide_directory(source, at, short)
    if place is None:
        place = DirectoryPlace(Span(start, start + length), total)
        if place.span.stop != at:
            raise MalformedError(
                f"the central directory ends at {place.span.stop}, the end record is at {at}",
                source=source.name,
                offset=at,
            )
    return place


def directory_bytes(source: Source, max_bytes: int) -> bytes:
    """The raw central directory, for telling formats apart; empty if there is none to speak of."""
    try:
        span = find_directory(source).span
    except UntrustedDataError:
        return b""
    return source.read_at(span.start, span.size_bytes) if span.size_bytes <= max_bytes else b""


def find_start(source: Source, end: int) -> int:
    """Where the archive begins that ends at byte `end` of a file with bytes before it.

    Its records count from its own first byte, so the place of the last ones gives it away.
    `find_directory` over the window from there checks them.

    Raises:
        MalformedError: no archive ends there, or it would begin before the file.
    """
    at = end - _END.size
    raw = source.read_at(at, _END.size) if at >= 0 else b""
    if raw[:4] != _END_MAGIC:
        raise MalformedError(
            "no zip archive ends here",
            source=source.name,
            offset=end,
            hint="The file is truncated, or bytes were inserted or appended",
        )
    _, _, _, _, _, length, start, _ = _END.unpack(raw)
    locator_at = at - _LOCATOR.size
    raw = source.read_at(locator_at, _LOCATOR.size) if locator_at >= 0 else b""
    if raw[:4] == _LOCATOR_MAGIC:
        _, _, record_at, _ = _LOCATOR.unpack(raw)
        begin = locator_at - _END64.size - record_at
    else:
        begin = at - length - start
    if begin < 0:
        raise MalformedError(
            "an archive would begin before the file", source=source.name, offset=at
        )
    return int(begin)


def archives_end_to_end(source: Source) -> list[Span]:
    """Where archives lie that fill a file one after the other, found from its end backwards.

    Raises:
        MalformedError: bytes lie before, between or behind them.
        LimitError: there are more than `MAX_STREAMS`.
    """
    found: list[Span] = []
    end = source.size_bytes
    while end:
        start = find_start(source, end)
        found.append(Span(start, end))
        end = start
        if len(found) > MAX_STREAMS:
            raise LimitError(f"more than {MAX_STREAMS} archives", source=source.name)
    return found[::-1]


def _wide_directory(
    source: Source, end_at: int, short: tuple[int, int, int]
) -> DirectoryPlace | None:
    """The directory as the zip64 records place it, or None when there are none."""
    needed = short[0] == _WIDE16 or _WIDE32 in short[1:]
    at = end_at - _LOCATOR.size
    raw = source.read_at(at, _LOCATOR.size) if at >= 0 else b""
    if raw[:4] != _LOCATOR_MAGIC:
        if needed:
            raise MalformedError("the zip64 locator is missing", source=source.name, offset=end_at)
        return None
    _, disk, record_at, disks = _LOCATOR.unpack(raw)
    if disk or disks > 1 or record_at + _END64.size != at:
        raise MalformedError("the zip64 locator is inconsistent", source=source.name, offset=at)
    raw = read_exactly(source, record_at, _END64.size, "the zip64 end record")
    magic, rest, _, _, disk, first_disk, here, total, length, start = _END64.unpack(raw)
    if magic != _END64_MAGIC or rest != _END64_REST or disk or first_disk or here != total:
        raise MalformedError(
            "the zip64 end record is inconsistent", source=source.name, offset=record_at
        )
    wide = (total, length, start)
    for narrow, full, sentinel in zip(short, wide, (_WIDE16, _WIDE32, _WIDE32), strict=True):
        if narrow not in (full, sentinel):
            raise MalformedError(
                "the zip and zip64 end records disagree", source=source.name, offset=record_at
            )
    if start + length != record_at:
        raise MalformedError(
            f"the central directory ends at {start + length}, the zip64 record is at {record_at}",
            source=source.name,
            offset=record_at,
        )
    return DirectoryPlace(Span(start, start + length), total)


def parse_records(raw: bytes, place: DirectoryPlace, source: str) -> Iterator[Record]:
    """The records of the central directory `raw`.

    Raises:
        MalformedError: a record is cut off or inconsistent, or their number is not the declared.
    """
    at = 0
    count = 0
    while at < len(raw):
        where = place.span.start + at
        if at + _RECORD.size > len(raw):
            raise MalformedError("a directory record is cut off", source=source, offset=where)
        fields = _RECORD.unpack_from(raw, at)
        magic, made_by, _, flags, method, _, _, crc, packed, plain = fields[:10]
        name_bytes, extra_bytes, comment_bytes, disk, _, attributes, offset = fields[10:]
        end = at + _RECORD.size + name_bytes + extra_bytes + comment_bytes
        if magic != _RECORD_MAGIC or end > len(raw):
            raise MalformedError("a directory record is broken", source=source, offset=where)
        if flags & ~_ALLOWED_FLAGS:
            raise MalformedError(
                f"a member has the flags 0x{flags:x}",
                source=source,
                offset=where,
                hint="Encrypted or patched archives are not read",
            )
        name_at = at + _RECORD.size
        name = raw[name_at : name_at + name_bytes]
        extra = raw[name_at + name_bytes : name_at + name_bytes + extra_bytes]
        sizes = _resolve_wide([plain, packed, offset], extra, source, where)
        if disk:
            raise MalformedError("a member lies on another disk", source=source, offset=where)
        is_link = made_by >> 8 in _UNIXES and S_ISLNK(attributes >> 16)
        yield Record(name, flags, method, crc, sizes[1], sizes[0], sizes[2], is_link)
        count += 1
        at = end
    if count != place.members:
        raise MalformedError(
            f"{count} members in the directory, {place.members} declared", source=source
        )


def _resolve_wide(sizes: list[int], extra: bytes, source: str, where: int) -> list[int]:
    """`sizes` (plain, packed, offset) with the zip64 extra field put in where they say 2**32-1."""
    wide: bytes | None = None
    at = 0
    while at + _EXTRA.size <= len(extra):
        kind, length = _EXTRA.unpack_from(extra, at)
        body = extra[at + _EXTRA.size : at + _EXTRA.size + length]
        if len(body) != length or (kind == _ZIP64_EXTRA and wide is not None):
            raise MalformedError("an extra field is broken", source=source, offset=where)
        if kind == _ZIP64_EXTRA:
            wide = body
        at += _EXTRA.size + length
    if at != len(extra):
        raise MalformedError("an extra field is broken", source=source, offset=where)
    taken = 0
    for i, size in enumerate(sizes):
        if size != _WIDE32:
            continue
        field = (wide or b"")[taken : taken + 8]
        if len(field) != 8:
            raise MalformedError("a zip64 size is missing", source=source, offset=where)
        sizes[i] = int.from_bytes(field, "little")
        taken += 8
    return sizes
