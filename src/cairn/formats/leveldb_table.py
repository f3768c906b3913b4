"""LevelDB tables, read strictly: sorted keys and values in blocks, listed by an index block.

    block     entries, then offsets of restarts (4 each) and their number (4)
    entry     three varints: bytes shared with the key before, bytes of key, bytes of value;
              then the rest of the key, the value
    trailer   after each block: 0 plain or 1 Snappy, then a masked CRC-32C (4)
    index     a block whose values say where the data blocks are: two varints, offset and size
    footer    the last 48 bytes: place of the meta index, place of the index, zeros up to 40,
              57 FB 80 8B 24 75 47 DB

Specification: https://github.com/google/leveldb/blob/main/doc/table_format.md. Checksums are not
compared: they guard against accidents only.
"""

from collections.abc import Iterator

from cairn.domain import Source, Span
from cairn.errors import LimitError, MalformedError
from cairn.formats.limits import MAX_ALL_NAMES_CHARS, MAX_NAME_CHARS, MAX_TABLE_BLOCK_BYTES
from cairn.formats.sources import read_exactly

FOOTER_BYTES = 48
MAGIC = bytes.fromhex("57fb808b247547db")
_TRAILER_BYTES = 5
_PLAIN, _SNAPPY = 0, 1
_MAX_VARINT_BYTES = 10


class Table:
    """The entries of a table."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._key_bytes = 0

    def entries(self) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values, in the order of the keys.

        Raises:
            MalformedError: blocks that overlap, lie outside or end early, keys out of order.
            LimitError: a compressed or very large block, or keys too long.
        """
        index = self._index()
        end, last = 0, None
        for _, place in self._block(index):
            span, _ = self._handle(place, 0, index.start)
            if span.start < end or span.stop + _TRAILER_BYTES > index.start:
                raise self._refusal("its blocks overlap or lie outside the table", span.start)
            end = span.stop + _TRAILER_BYTES
            for key, value in self._block(span):
                if last is not None and key <= last:
                    raise self._refusal("its keys are out of order", span.start)
                last = key
                yield key, value

    def _index(self) -> Span:
        start = self._source.size_bytes - FOOTER_BYTES
        if start < 0:
            raise self._refusal("too short for a table", 0)
        footer = read_exactly(self._source, start, FOOTER_BYTES, "the footer")
        if not footer.endswith(MAGIC):
            raise self._refusal("the footer does not end as a table's", start)
        _, at = self._handle(footer, 0, start)
        index, _ = self._handle(footer, at, start)
        # The index is the last block: anything else was moved, cut or appended to.
        if index.stop + _TRAILER_BYTES != start:
            raise self._refusal("the index does not end where the footer begins", start)
        return index

    def _handle(self, raw: bytes, at: int, where: int) -> tuple[Span, int]:
        offset, at = self._varint(raw, at, where)
        size, at = self._varint(raw, at, where)
        return Span(offset, offset + size), at

    def _block(self, span: Span) -> Iterator[tuple[bytes, bytes]]:
        if span.size_bytes > MAX_TABLE_BLOCK_BYTES:
            raise LimitError(
                f"a block of {span.size_bytes} bytes, at most {MAX_TABLE_BLOCK_BYTES} are read",
                source=self._source.name,
            )
        size = span.size_bytes + _TRAILER_BYTES
        raw = read_exactly(self._source, span.start, size, "a block")
        kind = raw[span.size_bytes]
        if kind == _SNAPPY:
            raise LimitError("a block compressed with Snappy is not read", source=self._source.name)
        if kind != _PLAIN:
            raise self._refusal(f"a block of kind {kind}", span.start)
        raw = raw[: span.size_bytes]
        restarts = int.from_bytes(raw[-4:], "little")
        stop = len(raw) - 4 - 4 * restarts
        if len(raw) < 4 or stop < 0:
            raise self._refusal("a block is shorter than its restarts", span.start)
        key, at = b"", 0
        while at < stop:
            shared, at = self._varint(raw, at, span.start)
            own, at = self._varint(raw, at, span.start)
            length, at = self._varint(raw, at, span.start)
            if shared > len(key) or at + own + length > stop:
                raise self._refusal("an entry reaches out of its block", span.start + at)
            key = key[:shared] + raw[at : at + own]
            self._count(key)
            yield key, raw[at + own : at + own + length]
            at += own + length

    def _count(self, key: bytes) -> None:
        """Shared beginnings let keys outgrow the bytes that made them."""
        self._key_bytes += len(key)
        if len(key) > 4 * MAX_NAME_CHARS or self._key_bytes > MAX_ALL_NAMES_CHARS:
            raise LimitError("the keys of the table are too long", source=self._source.name)

    def _varint(self, raw: bytes, at: int, where: int) -> tuple[int, int]:
        value = 0
        for shift in range(0, 7 * _MAX_VARINT_BYTES, 7):
            if at >= len(raw):
                break
            byte = raw[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, at
        raise self._refusal("a varint is cut off or too long", where)

    def _refusal(self, why: str, offset: int) -> MalformedError:
        return MalformedError(why, source=self._source.name, offset=offset)
