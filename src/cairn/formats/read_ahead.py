"""A source for readers that go forwards in small steps: few reads, and little read in vain."""

from cairn.domain import Source

FIRST_BYTES = 512
"""Read at once after a jump: a tensor's header in the formats that put headers between tensors."""

MOST_BYTES = 256 << 10
"""Read at once at most, however long the way forwards was."""


class ReadAheadSource:
    """Another source, of which a window is kept that grows while reading goes on forwards.

    What is read ahead is never more than twice what was used since the last jump, or
    `FIRST_BYTES`; so headers between tensors cost little beyond themselves. Keeps state: for
    one reader in one thread.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._start = 0
        self._window = b""
        self._ahead = FIRST_BYTES // 2

    @property
    def name(self) -> str:
        """The name of the source beneath."""
        return self._source.name

    @property
    def size_bytes(self) -> int:
        """Size of the source beneath."""
        return self._source.size_bytes

    def read_at(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`, fewer only at the end of the source."""
        at = offset - self._start
        if at >= 0 and at + length <= len(self._window):
            return self._window[at : at + length]
        if length >= MOST_BYTES:
            return self._source.read_at(offset, length)
        if 0 <= at <= len(self._window):
            self._ahead = min(MOST_BYTES, 2 * self._ahead)
        else:
            self._ahead = FIRST_BYTES
        self._window = self._source.read_at(offset, max(length, self._ahead))
        self._start = offset
        return self._window[:length]
