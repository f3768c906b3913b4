"""Where bytes come from: anything that can be read at an offset."""

from typing import Protocol


class Source(Protocol):
    """Random access to immutable bytes: a local file, a stored blob, a member of an archive."""

    @property
    def name(self) -> str:
        """A path or label for messages; also the hint for file-name conventions."""
        ...

    @property
    def size_bytes(self) -> int:
        """Total bytes."""
        ...

    def read_at(self, offset: int, length: int) -> bytes:
        """Exactly the bytes `offset .. offset + length`, cut short only by the end of the source.

        `offset` past the end gives `b""`. Implementations may be called from several threads.
        """
        ...
