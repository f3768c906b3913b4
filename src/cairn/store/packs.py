"""Files of many encoded parts: object `packs/<id>.pack`, format version 1.

| offset | bytes | field |
|---|---|---|
| 0 | 8 | magic `CAIRNPAK` |
| 8 | 4 | u32 version, 1 |
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
| 88 | 8 | zero |

Integers are little-endian. The pack's id is the first 16 bytes, in hex, of the trailer's
BLAKE3: making the same pack again gives the same object. Packs never change.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from blake3 import blake3

from cairn.domain import DType
from cairn.errors import IntegrityError, NotFoundError
from cairn.plugins import Registry
from cairn.store.backends import Draft, OpenObject
from cairn.store.codec import Codec
from cairn.store.cutting import MAX_PART_BYTES

VERSION = 1
HEADER_BYTES = 16
RECORD_HEAD_BYTES = 96
TRAILER_BYTES = 48

_HEADER = struct.Struct("<8sII")
_RECORD = struct.Struct("<4sI32s8sII16s16s8s")
_TRAILER = struct.Struct("<8sQ32s")
_MAGIC, _RECORD_MAGIC, _END_MAGIC = b"CAIRNPAK", b"PART", b"CAIRNEND"
_ZEROS = bytes(8)
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

    @property
    def total_bytes(self) -> int:
        """Head and stored bytes."""
        return RECORD_HEAD_BYTES + self.stored_bytes

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
    stored: bytes | memoryview


@dataclass(frozen=True, slots=True)
class SealedPack:
    """What a finished pack holds; `id` names it."""

    id: str
    records: tuple[Record, ...]
    size_bytes: int


class PackDraft:
    """A pack being written; nobody sees it before it is sealed."""

    def __init__(self, draft: Draft) -> None:
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
        record = Record(
            part.digest, _check(part.stored), len(part.stored), part.plain_bytes,
            part.codec, part.dtype, self.draft.size_bytes,
        )  # fmt: skip
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
        record.codec.encode("ascii"), label.encode("ascii"), _ZEROS,
    )  # fmt: skip
    return head[:4] + struct.pack("<I", zlib.crc32(head[8:])) + head[8:]


def parse_record_head(head: bytes | memoryview, offset: int) -> Record:
    """The record whose head these `RECORD_HEAD_BYTES` are.

    Raises:
        IntegrityError: they are not one, or are damaged.
    """
    if len(head) != RECORD_HEAD_BYTES:
        raise IntegrityError(f"record at {offset} is cut short")
    magic, crc, digest, check, stored, plain, codec, label, zeros = _RECORD.unpack(head)
    if magic != _RECORD_MAGIC or zlib.crc32(head[8:]) != crc or zeros != _ZEROS:
        raise IntegrityError(f"record at {offset} has a damaged head")
    text = label.rstrip(b"\0").decode("ascii", "replace")
    if text and text not in _LABELS:
        raise IntegrityError(f"record at {offset} has the unknown dtype {text!r}: update Cairn")
    name = codec.rstrip(b"\0").decode("ascii", "replace")
    return Record(digest, check, stored, plain, name, _LABELS.get(text), offset)


def scan(pack: OpenObject) -> Iterator[Record]:
    """Every record head of a pack in order, to rebuild an index.

    Raises:
        IntegrityError: the pack is damaged or cut short; what was yielded before is sound.
    """
    header = pack.read_at(0, HEADER_BYTES)
    if len(header) != HEADER_BYTES or _HEADER.unpack(header) != (_MAGIC, VERSION, 0):
        raise IntegrityError("it does not start as a pack of version 1")
    at, end, count, heads = HEADER_BYTES, pack.size_bytes - TRAILER_BYTES, 0, blake3()
    while at < end:
        head = pack.read_at(at, RECORD_HEAD_BYTES)
        record = parse_record_head(head, at)
        at += record.total_bytes
        if at > end:
            raise IntegrityError(f"record at {record.offset} reaches past the pack's end")
        heads.update(head)
        count += 1
        yield record
    if pack.read_at(at, TRAILER_BYTES) != _TRAILER.pack(_END_MAGIC, count, heads.digest()):
        raise IntegrityError(f"it does not end in the trailer of {count} records")


def decode(record: Record, stored: memoryview, codecs: Registry[Codec]) -> memoryview:
    """The plain bytes of a part, checked against its digest; read-only.

    Raises:
        IntegrityError: damaged, or written by a codec that is not installed.
    """
    if record.plain_bytes > MAX_PART_BYTES:
        raise IntegrityError(f"a part claims {record.plain_bytes} bytes, more than any has")
    try:
        codec = codecs.get(record.codec)
    except NotFoundError as error:
        raise IntegrityError(str(error)) from None
    if record.codec == "raw" and len(stored) == record.plain_bytes:
        plain = stored  # spares a copy: the digest below is what makes it trustworthy
    else:
        plain = np.empty(record.plain_bytes, dtype=np.uint8).data  # not zeroed first
        codec.decode_into(stored, plain, record.dtype)
    if blake3(plain).digest() != record.digest:
        raise IntegrityError(f"a part decoded by {record.codec!r} does not match its digest")
    return plain.toreadonly()
