"""A pickle as a tape: bytes read forward from a source, a block at a time."""

from typing import NoReturn

from cairn.domain import Source
from cairn.errors import LimitError, MalformedError
from cairn.formats.limits import MAX_PICKLE_INLINE_BYTES, MAX_PICKLE_LINE_BYTES

FIRST_BLOCK_BYTES = 4 << 10
"""Bytes fetched first: in files that go on after the pickle, little of what follows is read."""

BLOCK_BYTES = 256 << 10
"""Bytes fetched at a time once the pickle turns out long: far above an opcode, far below what
would show in memory. Each fetch doubles the one before."""


class Tape:
    """Reads forward; declared lengths are checked against the end before anything is fetched.

    The next byte is `block[at]`, at `base + at` in the source; `opcode` is where the opcode in hand
    begins. The loop over opcodes takes what the block has from there by itself.
    """

    __slots__ = (
        *("_next_bytes", "_source", "at", "base", "block"),
        *("inline_bytes", "longest_bytes", "name", "opcode", "size"),
    )

    def __init__(
        self, source: Source, start: int = 0, inline_bytes: int = MAX_PICKLE_INLINE_BYTES
    ) -> None:
        self.inline_bytes = inline_bytes  # longer bytes objects stay in the file
        self.longest_bytes = 0  # of those that do not
        self._source = source
        self.name = source.name
        self.size = source.size_bytes
        self.opcode = start
        self.base = start
        self.at = 0
        self.block = b""
        self._next_bytes = FIRST_BLOCK_BYTES

    @property
    def position(self) -> int:
        """Offset in the source of the next byte."""
        return self.base + self.at

    def refilled(self) -> int:
        """Fetch more where the block is at its end; the next byte, which is the first of it."""
        self._refill(1)
        return self.block[0]

    def take(self, length: int) -> bytes:
        """The next `length` bytes; MalformedError if fewer are left."""
        at = self.at
        end = at + length
        if end > len(self.block):
            self._refill(length)
            at, end = 0, length
        self.at = end
        return self.block[at:end]

    def skip(self, length: int) -> tuple[int, int]:
        """Pass over `length` bytes without reading them; their span."""
        start = self.position
        if length > self.size - start:
            self._ended(start, length)
        if self.at + length <= len(self.block):
            self.at += length
        else:
            self.base, self.at, self.block = start + length, 0, b""
        return start, start + length

    def line(self) -> bytes:
        """The bytes up to the next newline, which is passed over and left out.

        Where the source ends before a newline, the rest but for its last byte: the Python
        unpickler cuts one byte off whatever `readline` gives it, and imports what remains.

        Raises:
            LimitError: the line is longer than `MAX_PICKLE_LINE_BYTES`.
        """
        end = self.block.find(b"\n", self.at)
        if end < 0:
            end = self._refill_line()
        data = self.block[self.at : end]
        self.at = end + 1
        return data

    def _refill_line(self) -> int:
        """Fetch the rest of a line; the place of its newline, or of the last byte there is."""
        start = self.position
        left = self.size - start
        if left <= 0:
            self.base, self.at, self.block = start - 1, 0, b"\n"
            return 0
        self._refill(min(MAX_PICKLE_LINE_BYTES + 1, left))
        end = self.block.find(b"\n", 0, MAX_PICKLE_LINE_BYTES + 1)
        if end < 0 and left > MAX_PICKLE_LINE_BYTES:
            raise LimitError(
                f"a line of more than {MAX_PICKLE_LINE_BYTES} bytes", source=self.name, offset=start
            )
        return end if end >= 0 else len(self.block) - 1

    def _refill(self, need: int) -> None:
        start = self.position
        if need > self.size - start:
            self._ended(start, need)
        self.block = self._source.read_at(start, max(need, self._next_bytes))
        self._next_bytes = min(2 * self._next_bytes, BLOCK_BYTES)
        self.base, self.at = start, 0
        if len(self.block) < need:
            self._ended(start, need)

    def _ended(self, start: int, need: int) -> NoReturn:
        raise MalformedError(
            f"the pickle ends where {need} more bytes were promised",
            source=self.name,
            offset=start,
        )
