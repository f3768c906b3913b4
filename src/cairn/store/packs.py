"""Files of many encoded parts: object `packs/<id>.pack`, format version 2.

| offset | bytes | field |
|---|---|---|
| 0 | 8 | magic `CAIRNPAK` |
| 8 | 4 | u32 version, 2 |
| 12 | 4 | u32 zero |
| 16 | | records |
| | 48 | trailer: magic `CAIRNEND`, u64 record count, BLAKE3-256 of all record heads |

A record is a head and the stored bytes:

| offset | bytes | field |
|---|---|---|
| 0 | 4 | magic `PART` |
| 4 | 4 | u32 CRC-32 of bytes 8 .. 96 of the head |
| 8 | 32 | BLAKE3-256 of the plain bytes |
| 40 | 8 | first 8 bytes of the BLAKE3-256 of the stored bytes |
| 48 | 4 | u32 stored bytes |
| 52 | 4 | u32 plain bytes |
| 56 | 16 | codec name, ASCII, zero-padded |
| 72 | 16 | dtype label, ASCII, zero-padded; empty: none |
| 88 | 2 | u16 bases B |
| 90 | 1 | u8 depth: 0 without bases, else more than that of every base |
| 91 | 5 | zero |

The stored bytes of a derived part (B > 0) start with its base table (`bases.py`); the codec
field then names the predictor. Version 1 is the same without derived parts: the last eight
bytes are zero.

Integers are little-endian. The pack's id is the first 16 bytes, in hex, of the trailer's
BLAKE3: making the same pack again gives the same object. Packs never change.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

from blake3 import blake3

from cairn.domain import DType
from cairn.errors import IntegrityError
from cairn.store.backends import OpenObject
from cairn.store.bases import MAX_BASES, MAX_DEPTH, Base, parse_bases
from cairn.store.cutting import MAX_PART_BYTES

VERSION = 2
_READABLE = (1, VERSION)
HEADER_BYTES = 16
RECORD_HEAD_BYTES = 96
TRAILER_BYTES = 48
# No part is kept in more bytes than it has; twice as many spare a reader of damaged or hostile
# heads from allocating the 4 GiB that they can claim.
MAX_STORED_BYTES = 2 * MAX_PART_BYTES

_HEADER = struct.Struct("<8sII")
_RECORD = struct.Struct("<4sI32s8sII16s16sHB5s")
_TRAILER = struct.Struct("<8sQ32s")
_MAGIC, _RECORD_MAGIC, _END_MAGIC = b"CAIRNPAK", b"PART", b"CAIRNEND"
_ZEROS = bytes(5)
_LABELS = {dtype.label: dtype for dtype in DType}


@dataclass(frozen=True, slots=True)
class Record:
    """The head of one record: which part it holds, how it is encoded, and where it starts."""

    digest: bytes
    check: bytes
    stored_bytes: int
    plain_bytes: int
    codec: str
    dtype: DType | None
    offset: int
    base_count: int = 0
    depth: int = 0
    base_digests: tuple[bytes, ...] = ()  # where known: of records just written or scanned

    @property
    def total_bytes(self) -> int:
        """Head and stored bytes."""
        return RECORD_HEAD_BYTES + self.stored_bytes

    @property
    def is_plain(self) -> bool:
        """Whether the stored bytes are the part's own."""
        return self.codec == "raw" and self.stored_bytes == self.plain_bytes

    def matches(self, stored: memoryview) -> bool:
        """Whether these are the stored bytes that were written."""
        return len(stored) == self.stored_bytes and _check(stored) == self.check


@dataclass(frozen=True, slots=True)
class Encoded:
    """A part ready to be written to a pack."""

    digest: bytes
    plain_bytes: int
    codec: str
    dtype: DType | None
    stored: bytes | memoryview  # of a derived part: base table first
    bases: tuple[Base, ...] = ()
    depth: int = 0

    def record(self, offset: int = 0) -> Record:
        """The head of its record at this offset of a pack."""
        return Record(
            self.digest, _check(self.stored), len(self.stored), self.plain_bytes, self.codec,
            self.dtype, offset, len(self.bases), self.depth,
            tuple(base.digest for base in self.bases),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class SealedPack:
    """What a finished pack holds; `id` names it."""

    id: str
    records: tuple[Record, ...]
    size_bytes: int


class Growing(Protocol):
    """Bytes that are appended to and made durable: a backend's draft, or a buffer."""

    @property
    def size_bytes(self) -> int:
        """Bytes written so far."""
        ...

    def write(self, data: bytes | memoryview) -> None:
        """Append all of `data`."""
        ...

    def sync(self) -> None:
        """Make them durable, where that means anything."""
        ...


Drafted = TypeVar("Drafted", bound=Growing)


class PackDraft(Generic[Drafted]):
    """A pack being written; nobody sees it before it is sealed."""

    def __init__(self, draft: Drafted) -> None:
        self.draft = draft
        self._records: list[Record] = []
        self._heads = blake3()
        draft.write(_HEADER.pack(_MAGIC, VERSION, 0))

    @property
    def size_bytes(self) -> int:
        """Bytes written so far."""
        return self.draft.size_bytes

    def append(self, part: Encoded) -> None:
        """Write one record."""
        record = part.record(self.draft.size_bytes)
        head = _encode_head(record)
        self._heads.update(head)
        self._records.append(record)
        self.draft.write(head)
        self.draft.write(part.stored)

    def finish(self) -> SealedPack:
        """Write the trailer and make the bytes durable; the caller gives the draft its key."""
        digest = self._heads.digest()
        self.draft.write(_TRAILER.pack(_END_MAGIC, len(self._records), digest))
        self.draft.sync()
        return SealedPack(digest[:16].hex(), tuple(self._records), self.draft.size_bytes)


def _check(stored: bytes | memoryview) -> bytes:
    return blake3(stored).digest(8)


def _encode_head(record: Record) -> bytes:
    label = record.dtype.label if record.dtype else ""
    head = _RECORD.pack(
        _RECORD_MAGIC, 0, record.digest, record.check, record.stored_bytes, record.plain_bytes,
        record.codec.encode("ascii"), label.encode("ascii"), record.base_count, record.depth,
        _ZEROS,
    )  # fmt: skip
    return head[:4] + struct.pack("<I", zlib.crc32(head[8:])) + head[8:]


def parse_record_head(head: bytes | memoryview, offset: int) -> Record:
    """The record whose head these `RECORD_HEAD_BYTES` are.

    Raises:
        IntegrityError: they are not one, or are damaged.
    """
    if len(head) != RECORD_HEAD_BYTES:
        raise IntegrityError(f"record at {offset} is cut short")
    magic, crc, digest, check, stored, plain, codec, label, bases, depth, zeros = _RECORD.unpack(
        head
    )
    if magic != _RECORD_MAGIC or zlib.crc32(head[8:]) != crc or zeros != _ZEROS:
        raise IntegrityError(f"record at {offset} has a damaged head")
    if (bases > 0) != (depth > 0) or bases > MAX_BASES or depth > MAX_DEPTH:
        raise IntegrityError(f"record at {offset} claims {bases} bases in depth {depth}")
    if stored > MAX_STORED_BYTES or plain > MAX_PART_BYTES:
        raise IntegrityError(f"record at {offset} claims {stored} bytes for {plain}")
    text = label.rstrip(b"\0").decode("ascii", "replace")
    if text and text not in _LABELS:
        raise IntegrityError(f"record at {offset} has the unknown dtype {text!r}: update Cairn")
    name = codec.rstrip(b"\0").decode("ascii", "replace")
    return Record(digest, check, stored, plain, name, _LABELS.get(text), offset, bases, depth)


def read_encoded(pack: OpenObject, offset: int, stored_bytes: int, digest: bytes) -> Encoded:
    """The part in the record at an offset, its stored bytes checked, to be written elsewhere.

    Raises:
        IntegrityError: it is damaged, or of another part.
    """
    data = memoryview(pack.read_at(offset, RECORD_HEAD_BYTES + stored_bytes))
    record = parse_record_head(data[:RECORD_HEAD_BYTES], offset)
    body = data[RECORD_HEAD_BYTES:]
    if record.digest != digest or not record.matches(body):
        raise IntegrityError(f"record at {offset} is damaged")
    return Encoded(
        record.digest, record.plain_bytes, record.codec, record.dtype, body,
        parse_bases(body, record.base_count), record.depth,
    )  # fmt: skip


def scan(pack: OpenObject) -> Iterator[Record]:
    """Every record head of a pack in order, to rebuild an index.

    Raises:
        IntegrityError: the pack is damaged or cut short; what was yielded before is sound. A
            derived part whose base table cannot be trusted is left out, and told at the end.
    """
    header = pack.read_at(0, HEADER_BYTES)
    if len(header) != HEADER_BYTES:
        raise IntegrityError("it is too short for a pack")
    magic, version, zero = _HEADER.unpack(header)
    if magic != _MAGIC or version not in _READABLE or zero:
        raise IntegrityError(f"it does not start as a pack of version {VERSION} or before")
    at, end, count, heads = HEADER_BYTES, pack.size_bytes - TRAILER_BYTES, 0, blake3()
    damaged = None
    while at < end:
        head = pack.read_at(at, RECORD_HEAD_BYTES)
        record = parse_record_head(head, at)
        at += record.total_bytes
        if at > end:
            raise IntegrityError(f"record at {record.offset} reaches past the pack's end")
        heads.update(head)
        count += 1
        try:
            whole = _with_bases(pack, record)
        except IntegrityError as error:
            damaged = error
            continue
        yield whole
    if pack.read_at(at, TRAILER_BYTES) != _TRAILER.pack(_END_MAGIC, count, heads.digest()):
        raise IntegrityError(f"it does not end in the trailer of {count} records")
    if damaged is not None:
        raise damaged


def _with_bases(pack: OpenObject, record: Record) -> Record:
    if not record.base_count:
        return record
    stored = memoryview(pack.read_at(record.offset + RECORD_HEAD_BYTES, record.stored_bytes))
    if not record.matches(stored):  # gc goes by these names: a wrong one would cost the true base
        raise IntegrityError(f"record at {record.offset} is damaged")
    bases = parse_bases(stored, record.base_count)
    return replace(record, base_digests=tuple(base.digest for base in bases))
