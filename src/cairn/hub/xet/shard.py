"""A shard, as clients upload it: which chunks make up each file, which chunks each xorb has.

    header   48 B : tag[32] | version u64 = 2 | footer size u64
    files         : repeat file hash[32] | flags u32 | terms u32 | unused[8]
                      terms x { xorb hash[32] | flags u32 | plain u32 | start u32 | stop u32 }
                      flags bit 31: terms x { range hash[32] | unused[16] }
                      flags bit 30: { SHA-256[32] | unused[16] }
    bookend  48 B : 32 x FF | unused[16]
    xorbs         : repeat xorb hash[32] | flags u32 | chunks u32 | plain u32 | stored u32
                      chunks x { hash[32] | start u32 | plain u32 | flags u32 | unused[4] }
    bookend  48 B
    lookups, footer : only where the header names a footer size; never looked at

All numbers are little-endian; every record has 48 bytes; `plain` and `stored` count bytes.
The SHA-256 stands in the byte order of Xet hashes; clients send zeros for an empty file
they never hashed. Range hashes (flags bit 31) are mandatory on upload.

Specification: https://huggingface.co/docs/xet/shard; the tag, the flags and the order of the
SHA-256 from https://github.com/huggingface/xet-core,
`xet_core_structures/src/metadata_shard/` (shard_format.rs, file_structs.rs).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cairn.domain import Digest
from cairn.errors import LimitError, MalformedError
from cairn.hub.xet.hashing import NAME_BYTES, to_text

RECORD_BYTES = 48
# Clients cut shards at 64 MiB (MDB_SHARD_TARGET_SIZE in xet-core's constants.rs); one
# that merges several may end a little above.
MAX_SHARD_BYTES = 80 * 1024 * 1024
# Each file costs at least two records, so an honest shard never holds as many.
MAX_FILES = 400_000

TAG = b"HFRepoMetaData\0" + bytes.fromhex("556967456a7b815783a5bdd95ccdd14aa9")
VERSION = 2
WITH_RANGE_HASHES = 1 << 31
WITH_SHA256 = 1 << 30
BOOKEND = b"\xff" * NAME_BYTES

HEADER = struct.Struct("<32sQQ")
SECTION = struct.Struct("<32sIIII")
TERM = np.dtype(
    [("xorb", "u1", 32), ("flags", "<u4"), ("plain", "<u4"), ("start", "<u4"), ("stop", "<u4")]
)
CHUNK = np.dtype(
    [("name", "u1", 32), ("at", "<u4"), ("plain", "<u4"), ("flags", "<u4"), ("unused", "<u4")]
)

Records = NDArray[np.void]


@dataclass(frozen=True, slots=True)
class Term:
    """A run of chunks of one xorb, `start` to `stop` (exclusive), as the client states it."""

    xorb: bytes
    start: int
    stop: int
    plain_bytes: int
    range_name: bytes


@dataclass(frozen=True, slots=True)
class FileClaim:
    """A file as the client states it: nothing here is verified.

    `sha256` is None where the client did not send one.
    """

    name: bytes
    sha256: Digest | None
    _terms: Records
    _range_names: memoryview

    def __len__(self) -> int:
        return len(self._terms)

    def terms(self) -> Iterator[Term]:
        """The terms in file order."""
        names = memoryview(self._terms["xorb"].tobytes())
        numbers = zip(
            self._terms["start"].tolist(),
            self._terms["stop"].tolist(),
            self._terms["plain"].tolist(),
            strict=True,
        )
        for index, (start, stop, plain) in enumerate(numbers):
            xorb = bytes(names[index * NAME_BYTES : (index + 1) * NAME_BYTES])
            at = index * RECORD_BYTES
            range_name = bytes(self._range_names[at : at + NAME_BYTES])
            yield Term(xorb, start, stop, plain, range_name)


@dataclass(frozen=True, slots=True)
class XorbClaim:
    """The chunks of a xorb as the client states them: nothing here is verified."""

    name: bytes
    names: bytes
    plain_sizes: NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Shard:
    """A parsed shard: views into its bytes, no larger than a constant times them."""

    files: tuple[FileClaim, ...]
    xorbs: tuple[XorbClaim, ...]


def parse(body: memoryview) -> Shard:
    """Take an uploaded shard apart.

    Raises:
        MalformedError: a wrong tag or version, truncated, bytes after the last section, a file
            without range hashes.
        LimitError: more files or bytes than `MAX_FILES` and `MAX_SHARD_BYTES`.
    """
    if len(body) > MAX_SHARD_BYTES:
        raise LimitError(f"{len(body)} bytes, at most {MAX_SHARD_BYTES}", source="shard")
    reader = _Reader(body)
    tag, version, footer_bytes = HEADER.unpack(reader.take(1))
    if tag != TAG:
        raise MalformedError("does not begin with the shard tag", source="shard", offset=0)
    if version != VERSION:
        raise MalformedError(f"version {version}, want {VERSION}", source="shard", offset=32)
    files = tuple(_read_files(reader))
    xorbs = tuple(_read_xorbs(reader))
    if reader.offset != len(body) and not footer_bytes:
        raise MalformedError(
            f"{len(body) - reader.offset} bytes after the last section",
            source="shard",
            offset=reader.offset,
        )
    return Shard(files, xorbs)


class _Reader:
    """Hands out records in order."""

    def __init__(self, body: memoryview) -> None:
        self._body = body
        self.offset = 0

    def take(self, records: int) -> memoryview:
        stop = self.offset + records * RECORD_BYTES
        if stop > len(self._body):
            raise MalformedError(
                f"ends inside a section that needs {records} more records of {RECORD_BYTES} bytes",
                source="shard",
                offset=self.offset,
            )
        taken = self._body[self.offset : stop]
        self.offset = stop
        return taken

    def take_array(self, records: int, dtype: np.dtype[Any]) -> Records:
        return np.frombuffer(self.take(records), dtype)


def _read_files(reader: _Reader) -> Iterator[FileClaim]:
    for count in range(MAX_FILES + 1):
        at = reader.offset
        name, flags, terms, _, _ = SECTION.unpack(reader.take(1))
        if name == BOOKEND:
            return
        if count == MAX_FILES:
            raise LimitError(f"more than {MAX_FILES} files", source="shard", offset=at)
        segments = reader.take_array(terms, TERM)
        if terms and not flags & WITH_RANGE_HASHES:
            raise MalformedError(
                f"file {to_text(name)} has no range hashes", source="shard", offset=at
            )
        range_names = reader.take(terms if flags & WITH_RANGE_HASHES else 0)
        sha256 = _read_sha256(reader) if flags & WITH_SHA256 else None
        yield FileClaim(name, sha256, segments, range_names)


def _read_sha256(reader: _Reader) -> Digest | None:
    raw = reader.take(1)[:NAME_BYTES]
    return None if raw == bytes(NAME_BYTES) else Digest.sha256(to_text(raw))


def _read_xorbs(reader: _Reader) -> Iterator[XorbClaim]:
    while True:
        name, _, chunks, _, _ = SECTION.unpack(reader.take(1))
        if name == BOOKEND:
            return
        records = reader.take_array(chunks, CHUNK)
        yield XorbClaim(name, records["name"].tobytes(), records["plain"])
