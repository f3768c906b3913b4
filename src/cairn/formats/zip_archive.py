"""Zip archives read strictly: what the central directory and the local headers agree on.

Layout (little-endian), from the end backwards:

    end of central directory     PK 05 06   22 bytes, no comment, at the very end
    zip64 locator                PK 06 07   20 bytes, optional
    zip64 end of directory       PK 06 06   56 bytes, present with the locator
    central directory            PK 01 02   46 bytes + name + extra + comment, per member
    members                      PK 03 04   30 bytes + name + extra, data, data descriptor

Specification: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT (6.3.10).

Readers of zip files disagree wherever two places state one thing (CVE-2025-1944,
CVE-2025-1945, CVE-2025-10156), so every such place is compared and a difference is refused.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

from cairn.domain import Source, Span
from cairn.errors import LimitError, MalformedError
from cairn.formats.limits import MAX_INFLATE_RATIO, MAX_ZIP_DIRECTORY_BYTES, MAX_ZIP_MEMBERS
from cairn.formats.sources import read_exactly
from cairn.formats.zip_directory import Record, find_directory, parse_records

_LOCAL = Struct("<4s5H3I2H")
_LOCAL_MAGIC = b"PK\x03\x04"
_STORED, _DEFLATED = 0, 8
_DESCRIPTOR_FLAG = 0x8
_UTF8_FLAG = 0x800
_WIDE32 = 0xFFFFFFFF
# Signature, CRC-32 and two sizes of 8 bytes; the widest form a data descriptor has.
_MAX_DESCRIPTOR_BYTES = 24
# The code lengths that a deflated block begins with take at most about 300 bytes (RFC 1951, 3.2.7).
_DEFLATE_TABLE_BYTES = 512


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive; `data` is where its stored or deflated bytes lie."""

    name: str
    data: Span
    size_bytes: int
    stored: bool
    crc: int
    is_link: bool = False


class ZipArchive:
    """The members of an archive, checked against each other and the bounds of the file.

    Raises:
        MalformedError: anything the two descriptions of a member disagree on, encryption,
            duplicate names (ignoring case, as torch looks them up), overlaps, several disks,
            a comment, bytes before the first member or after the end.
        LimitError: too many members.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        directory = find_directory(source)
        if directory.members > MAX_ZIP_MEMBERS:
            raise LimitError(
                f"{directory.members} members, at most {MAX_ZIP_MEMBERS} are read",
                source=source.name,
            )
        if directory.span.size_bytes > MAX_ZIP_DIRECTORY_BYTES:
            raise LimitError(
                f"a central directory of {directory.span.size_bytes} bytes, at most"
                f" {MAX_ZIP_DIRECTORY_BYTES} are read",
                source=source.name,
            )
        raw = read_exactly(
            source, directory.span.start, directory.span.size_bytes, "the central directory"
        )
        self.members: dict[str, Member] = {}
        self.stray_bytes = 0
        folded: set[str] = set()
        end = 0
        records = sorted(parse_records(raw, directory, source.name), key=lambda r: r.offset)
        for record in records:
            member = self._open(record, directory.span.start)
            self._account(record, member, end)
            end = member.data.stop
            if member.name.lower() in folded:
                raise self._refusal(f"two members are named {member.name[:200]!r}", record.offset)
            folded.add(member.name.lower())
            self.members[member.name] = member
        self._account_tail(records, end, directory.span.start)

    def read(self, member: Member, max_bytes: int) -> tuple[bytes, bool]:
        """A member's plain bytes, and whether their CRC-32 is the one declared.

        torch does not look at the CRC-32 and can be told not to compute it
        (`torch.serialization.set_crc32_options`), so a wrong one is the caller's to judge.

        Raises:
            LimitError: more than `max_bytes`, or inflated beyond the allowed ratio.
            MalformedError: the deflated data is broken or of another length than declared.
        """
        if member.size_bytes > max_bytes:
            raise LimitError(
                f"{member.name[:200]!r} has {member.size_bytes} bytes,"
                f" at most {max_bytes} are read",
                source=self._source.name,
            )
        span = member.data
        raw = read_exactly(self._source, span.start, span.size_bytes, member.name[:200])
        data = raw if member.stored else self._inflated(member, raw)
        return data, zlib.crc32(data) == member.crc

    def read_start(self, member: Member, length: int) -> bytes:
        """The first `length` plain bytes of a member, or all of a shorter one; no CRC is checked.

        Raises:
            MalformedError: the deflated data is broken, or yields less than it should.
        """
        wanted = min(length, member.size_bytes)
        span = member.data
        packed = min(
            span.size_bytes, wanted if member.stored else 2 * wanted + _DEFLATE_TABLE_BYTES
        )
        raw = read_exactly(self._source, span.start, packed, member.name[:200])
        if member.stored:
            return raw
        try:
            plain = zlib.decompressobj(-zlib.MAX_WBITS).decompress(raw, wanted)
        except zlib.error as error:
            raise self._refusal(
                f"{member.name[:200]!r} does not inflate: {error}", span.start
            ) from None
        if len(plain) != wanted:
            raise self._refusal(f"{member.name[:200]!r} inflates to less than declared", span.start)
        return plain

    def _inflated(self, member: Member, raw: bytes) -> bytes:
        if member.size_bytes > MAX_INFLATE_RATIO * max(1, len(raw)):
            raise LimitError(
                f"{member.name[:200]!r} claims to inflate more than {MAX_INFLATE_RATIO} times",
                source=self._source.name,
            )
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            data = inflater.decompress(raw, member.size_bytes + 1)
        except zlib.error as error:
            raise self._refusal(
                f"{member.name[:200]!r} does not inflate: {error}", member.data.start
            ) from None
        if len(data) != member.size_bytes or not inflater.eof or inflater.unused_data:
            raise self._refusal(
                f"{member.name[:200]!r} does not inflate to the size declared", member.data.start
            )
        return data

    def _refusal(self, why: str, offset: int) -> MalformedError:
        return MalformedError(why, source=self._source.name, offset=offset)

    def _open(self, record: Record, limit: int) -> Member:
        """Compare a member's local header with its record and find its data."""
        source = self._source
        raw = read_exactly(source, record.offset, _LOCAL.size + len(record.name), "a local header")
        fields = _LOCAL.unpack_from(raw)
        magic, _, flags, method, _, _, crc, packed, plain, name_bytes, extra_bytes = fields
        if magic != _LOCAL_MAGIC:
            raise self._refusal("a local header does not begin with PK 03 04", record.offset)
        described = (crc, packed, plain)
        if (
            flags != record.flags
            or method != record.method
            or name_bytes != len(record.name)
            or raw[_LOCAL.size :] != record.name
            or not self._sizes_agree(described, record)
        ):
            raise self._refusal(
                f"the local header of {record.name[:200]!r} differs from the central directory",
                record.offset,
            )
        start = record.offset + _LOCAL.size + name_bytes + extra_bytes
        stop = start + record.packed_bytes
        if stop > limit:
            raise self._refusal(
                f"{record.name[:200]!r} reaches into the central directory", record.offset
            )
        if method not in (_STORED, _DEFLATED):
            raise self._refusal(f"compression method {method} is not supported", record.offset)
        if method == _STORED and record.packed_bytes != record.plain_bytes:
            raise self._refusal("a stored member has two sizes", record.offset)
        return Member(
            name=self._name(record),
            data=Span(start, stop),
            size_bytes=record.plain_bytes,
            stored=method == _STORED,
            crc=record.crc,
            is_link=record.is_link,
        )

    @staticmethod
    def _sizes_agree(described: tuple[int, int, int], record: Record) -> bool:
        """CRC and sizes may be zero where a data descriptor follows, and 2**32-1 in zip64."""
        crc, packed, plain = described
        absent = (0,) if record.flags & _DESCRIPTOR_FLAG else ()
        return (
            crc in (record.crc, *absent)
            and packed in (record.packed_bytes, _WIDE32, *absent)
            and plain in (record.plain_bytes, _WIDE32, *absent)
        )

    def _name(self, record: Record) -> str:
        try:
            name = record.name.decode("utf-8" if record.flags & _UTF8_FLAG else "ascii")
        except UnicodeDecodeError:
            raise self._refusal("a member's name is not UTF-8", record.offset) from None
        if not name or "\0" in name:
            raise self._refusal(f"the member name {name[:200]!r} is not allowed", record.offset)
        return name

    def _account(self, record: Record, member: Member, end: int) -> None:
        """Count what lies between this member and the one before; refuse overlaps."""
        if record.offset < end:
            raise self._refusal(f"{member.name[:200]!r} overlaps another member", record.offset)
        gap = record.offset - end
        if end == 0 and gap:
            raise self._refusal("bytes before the first member", 0)
        if gap > _MAX_DESCRIPTOR_BYTES:
            self.stray_bytes += gap

    def _account_tail(self, records: list[Record], end: int, directory_start: int) -> None:
        gap = directory_start - end
        if not records and gap:
            raise self._refusal("bytes before the central directory that no member owns", 0)
        if gap > _MAX_DESCRIPTOR_BYTES:
            self.stray_bytes += gap

    def __iter__(self) -> Iterator[Member]:
        return iter(self.members.values())
