"""A xorb: up to 8192 chunks in a row, each with its own small header and compression.

    chunk   version u8 = 0 | stored length u24 | scheme u8 | plain length u24 | stored bytes
    scheme  0 plain, 1 LZ4 frame, 2 LZ4 frame of the bytes regrouped into 4 planes
    footer  begins with "XETBLOB" where a chunk would; optional on upload, always dropped here

All numbers are little-endian. Plane i of scheme 2 holds plain bytes i, i + 4, i + 8, ...
and the planes stand one after the other. Limits are the client's own constants.

Specification: https://huggingface.co/docs/xet/xorb; constants and the scheme table from
https://github.com/huggingface/xet-core, `xet_core_structures/src/xorb_object/`
(constants.rs, xorb_chunk_format.rs, compression_scheme.rs).
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import cramjam
import numpy as np
from numpy.typing import NDArray

from cairn.errors import LimitError, MalformedError
from cairn.hub.xet.hashing import NAME_BYTES, Tree, chunk_name, range_name, to_text

MAX_CHUNKS = 8192
MAX_CHUNK_BYTES = 128 * 1024
MAX_STORED_CHUNK_BYTES = 2 * MAX_CHUNK_BYTES  # what the client's own parser admits
HEADER_BYTES = 8
MAX_XORB_BYTES = 64 * 1024 * 1024 + MAX_CHUNKS * HEADER_BYTES
# A footer repeats 40 bytes a chunk and about 200 more.
MAX_BODY_BYTES = MAX_XORB_BYTES + MAX_CHUNKS * 40 + 4096
FOOTER_MAGIC = b"XETBLOB"

Bytes32 = NDArray[np.uint8]
Offsets = NDArray[np.uint32]


class Scheme(IntEnum):
    """How a chunk's bytes are kept inside a xorb."""

    PLAIN = 0
    LZ4 = 1
    PLANES_LZ4 = 2


@dataclass(frozen=True, slots=True)
class ChunkTable:
    """What is known about a verified xorb: its chunks' names and where they lie.

    `names` holds 32 raw bytes a chunk. `stored_ends[i]` is the offset in the xorb just
    after chunk i, `plain_ends[i]` the same in the plain bytes of all chunks joined.
    """

    xorb: bytes
    names: bytes
    stored_ends: Offsets
    plain_ends: Offsets

    def __len__(self) -> int:
        return len(self.stored_ends)

    def stored_span(self, start: int, stop: int) -> tuple[int, int]:
        """Offsets in the xorb of chunks `start` to `stop` (exclusive), headers included."""
        return self._before(self.stored_ends, start), int(self.stored_ends[stop - 1])

    def plain_bytes(self, start: int, stop: int) -> int:
        """Plain bytes of chunks `start` to `stop` (exclusive)."""
        return int(self.plain_ends[stop - 1]) - self._before(self.plain_ends, start)

    def range_name(self, start: int, stop: int) -> bytes:
        """The name of chunks `start` to `stop` (exclusive) taken together."""
        return range_name(memoryview(self.names)[start * NAME_BYTES : stop * NAME_BYTES])

    def chunks(self, start: int, stop: int) -> Iterator[tuple[bytes, int]]:
        """Raw name and plain size of each chunk from `start` to `stop` (exclusive)."""
        before = self._before(self.plain_ends, start)
        ends: list[int] = self.plain_ends[start:stop].tolist()
        for index, end in enumerate(ends, start):
            yield self.names[index * NAME_BYTES : (index + 1) * NAME_BYTES], end - before
            before = end

    def split(self, start: int, stop: int, max_plain_bytes: int) -> Iterator[tuple[int, int]]:
        """Chunk ranges that cover `start` to `stop`, each of at most `max_plain_bytes`.

        A single chunk larger than that is a range of its own.
        """
        ends = self.plain_ends.tolist()
        while start < stop:
            limit = self._before(self.plain_ends, start) + max_plain_bytes
            end = min(max(bisect_right(ends, limit), start + 1), stop)
            yield start, end
            start = end

    @staticmethod
    def _before(ends: Offsets, index: int) -> int:
        return int(ends[index - 1]) if index else 0


@dataclass(frozen=True, slots=True)
class _Header:
    scheme: Scheme
    stored_bytes: int
    plain_bytes: int


def verify(body: memoryview, xorb: bytes) -> tuple[ChunkTable, int]:
    """Check every byte of an uploaded xorb against its raw name `xorb`.

    Returns the chunk table and how many leading bytes of `body` are chunks (a footer is
    not). Memory beyond `body` stays below a megabyte.

    Raises:
        MalformedError: truncated, an unknown scheme or version, a chunk that does not
            decompress to its declared length, no chunks, or another name than `xorb`.
        LimitError: more or larger chunks than the protocol allows, or too many bytes.
    """
    names = bytearray()
    stored_ends: list[int] = []
    plain_ends: list[int] = []
    tree, decoder = Tree(), ChunkDecoder()
    offset = plain = 0
    while offset < len(body) and body[offset : offset + len(FOOTER_MAGIC)] != FOOTER_MAGIC:
        if len(stored_ends) == MAX_CHUNKS:
            raise LimitError(f"more than {MAX_CHUNKS} chunks", source="xorb", offset=offset)
        header = _read_header(body, offset)
        stop = offset + HEADER_BYTES + header.stored_bytes
        data = decoder.decode(header, body[offset + HEADER_BYTES : stop], offset)
        name = chunk_name(data)
        names += name
        tree.add(name, header.plain_bytes)
        offset, plain = stop, plain + header.plain_bytes
        stored_ends.append(offset)
        plain_ends.append(plain)
    if not stored_ends:
        raise MalformedError("no chunks", source="xorb")
    if offset > MAX_XORB_BYTES:
        raise LimitError(f"{offset} bytes of chunks, at most {MAX_XORB_BYTES}", source="xorb")
    root = tree.root()
    if root != xorb:
        raise MalformedError(
            f"its chunks hash to {to_text(root)}, the URL names {to_text(xorb)}", source="xorb"
        )
    ends = np.array(stored_ends, np.uint32), np.array(plain_ends, np.uint32)
    return ChunkTable(xorb, bytes(names), *ends), offset


def decode(stored: memoryview, out: memoryview) -> None:
    """Fill `out` with the plain bytes of a row of chunks that `verify` accepted before.

    Raises:
        MalformedError: they are not as many as when they were verified, or damaged.
    """
    decoder = ChunkDecoder()
    offset = at = 0
    while offset < len(stored):
        header = _read_header(stored, offset)
        stop, end = offset + HEADER_BYTES + header.stored_bytes, at + header.plain_bytes
        if end > len(out):
            break
        decoder.decode_into(header, stored[offset + HEADER_BYTES : stop], offset, out[at:end])
        offset, at = stop, end
    if offset != len(stored) or at != len(out):
        raise MalformedError("staged chunks no longer add up", source="xorb", offset=offset)


def _read_header(body: memoryview, offset: int) -> _Header:
    """The chunk header at `offset`, after checking that its chunk lies inside `body`."""
    raw = body[offset : offset + HEADER_BYTES]
    if len(raw) < HEADER_BYTES:
        raise MalformedError("ends inside a chunk header", source="xorb", offset=offset)
    if raw[0] != 0:
        raise MalformedError(f"chunk version {raw[0]}, want 0", source="xorb", offset=offset)
    stored_bytes = int.from_bytes(raw[1:4], "little")
    plain_bytes = int.from_bytes(raw[5:8], "little")
    if raw[4] not in (Scheme.PLAIN, Scheme.LZ4, Scheme.PLANES_LZ4):
        raise MalformedError(f"unknown compression {raw[4]}", source="xorb", offset=offset)
    if plain_bytes > MAX_CHUNK_BYTES or stored_bytes > MAX_STORED_CHUNK_BYTES:
        raise LimitError(
            f"chunk of {stored_bytes} stored and {plain_bytes} plain bytes,"
            f" at most {MAX_STORED_CHUNK_BYTES} and {MAX_CHUNK_BYTES}",
            source="xorb",
            offset=offset,
        )
    if not plain_bytes:
        raise MalformedError("chunk of no bytes", source="xorb", offset=offset)
    if offset + HEADER_BYTES + stored_bytes > len(body):
        raise MalformedError("ends inside a chunk", source="xorb", offset=offset)
    return _Header(Scheme(raw[4]), stored_bytes, plain_bytes)


class ChunkDecoder:
    """Decompresses chunks one after the other, into buffers that it reuses."""

    def __init__(self) -> None:
        self._plain = memoryview(bytearray(MAX_CHUNK_BYTES))
        self._planes = memoryview(bytearray(MAX_CHUNK_BYTES))

    def decode(self, header: _Header, stored: memoryview, offset: int) -> memoryview:
        """The plain bytes of one chunk; valid until the next call.

        Raises:
            MalformedError: they are not exactly as many as the header says.
        """
        if header.scheme is Scheme.PLAIN and header.stored_bytes == header.plain_bytes:
            return stored
        out = self._plain[: header.plain_bytes]
        self.decode_into(header, stored, offset, out)
        return out

    def decode_into(
        self, header: _Header, stored: memoryview, offset: int, out: memoryview
    ) -> None:
        """The same, into `out`, which has exactly the plain length."""
        if header.scheme is Scheme.PLAIN:
            if header.stored_bytes != header.plain_bytes:
                raise MalformedError(
                    f"uncompressed chunk of {header.stored_bytes} bytes declares"
                    f" {header.plain_bytes}",
                    source="xorb",
                    offset=offset,
                )
            out[:] = stored
        elif header.scheme is Scheme.LZ4:
            _decompress(stored, out, offset)
        else:
            planes = self._planes[: header.plain_bytes]
            _decompress(stored, planes, offset)
            _interleave(planes, out)


def _decompress(stored: memoryview, out: memoryview, offset: int) -> None:
    """Decompress LZ4 frames into `out`, which bounds what can come of them."""
    try:
        count = cramjam.lz4.decompress_into(stored, out)
    except cramjam.DecompressionError as error:
        raise MalformedError(
            f"chunk does not decompress to {len(out)} bytes: {error}", source="xorb", offset=offset
        ) from None
    if count != len(out):
        raise MalformedError(
            f"chunk decompresses to {count} bytes, declares {len(out)}",
            source="xorb",
            offset=offset,
        )


def _interleave(planes: memoryview, out: memoryview) -> None:
    source, target = np.frombuffer(planes, np.uint8), np.frombuffer(out, np.uint8)
    start = 0
    for lane in range(4):
        stop = start + (len(out) - lane + 3) // 4
        target[lane::4] = source[start:stop]
        start = stop
