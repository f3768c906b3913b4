"""A pickle as a tape: bytes read forward from a source, a block at a time."""

from typing import NoReturn

from cairn.domain import Source
from cairn.errors import LimitError, MalformedError
from cairn.formats.limits import MAX_PICKLE_LINE_BYTES

BLOCK_BYTES = 256 << 10
"""Bytes fetched at a time: far above an opcode, far below what would show in memory."""


class Tape:
    """Reads forward; declared lengths are checked against the end before anything is fetched."""

    __slots__ = ("_at", "_base", "_block", "_source", "name", "size")

    def __init__(self, source: Source, start: int = 0) -> None:
        self._source = source
        self.name = source.name
        self.size = source.size_bytes
        self._base = start
        self._at = 0
        self._block = b""

    @property
    def position(self) -> int:
        """Offset in the source of the next byte."""
        return self._base + self._at

    def byte(self) -> int:
        """The next byte as a number."""
        at = self._at
        try:
            value = self._block[at]
        except IndexError:
            self._refill(1)
            at = 0
            value = self._block[0]
        self._at = at + 1
        return value

    def take(self, length: int) -> bytes:
        """The next `length` bytes; MalformedError if fewer are left."""
        end = self._at + length
        if end > len(self._block):
            self._refill(length)
            end = length
        data = self._block[self._at : end]
        self._at = end
        return data

    def skip(self, length: int) -> tuple[int, int]:
        """Pass over `length` bytes without reading them; their span."""
        start = self.position
        if length > self.size - start:
            self._ended(start, length)
        if self._at + length <= len(self._block):
            self._at += length
        else:
            self._base, self._at, self._block = start + length, 0, b""
        return start, start + length

    def line(self) -> bytes:
        """The bytes up to the next newline, which is passed over and left out.

        Raises:
            MalformedError: there is no newline before the end.
            LimitError: the line is longer than `MAX_PICKLE_LINE_BYTES`.
        """
        end = self._block.find(b"\n", self._at)
        if end < 0:
            start = self.position
            self._refill(min(MAX_PICKLE_LINE_BYTES + 1, self.size - start) or 1)
            end = self._block.find(b"\n")
            if end < 0 or end > MAX_PICKLE_LINE_BYTES:
                if self.size - start <= MAX_PICKLE_LINE_BYTES:
                    self._ended(start, 1)
                raise LimitError(
                    f"a line of more than {MAX_PICKLE_LINE_BYTES} bytes",
                    source=self.name,
                    offset=start,
                )
        data = self._block[self._at : end]
        self._at = end + 1
        return data

    def _refill(self, need: int) -> None:
        start = self.position
        if need > self.size - start:
            self._ended(start, need)
        self._block = self._source.read_at(start, max(need, BLOCK_BYTES))
        self._base, self._at = start, 0
        if len(self._block) < need:
            self._ended(start, need)

    def _ended(self, start: int, need: int) -> NoReturn:
        raise MalformedError(
            f"the pickle ends where {need} more bytes were promised",
            source=self.name,
            offset=start,
        )
