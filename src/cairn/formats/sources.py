"""Sources over local files, over bytes in memory, and over a window of another source."""

import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Self

from cairn.domain import Source
from cairn.errors import EntryNotFoundError, MalformedError, RequestError


class FileSource:
    """A local regular file read with `pread`, so threads may share it; a context manager.

    Raises:
        EntryNotFoundError: there is no such file.
        RequestError: it is not a regular file or may not be read.
    """

    def __init__(self, path: Path | str, name: str | None = None) -> None:
        self._name = str(path) if name is None else name
        try:
            # O_NONBLOCK: opening a FIFO must fail the check below, not wait for a writer.
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            raise EntryNotFoundError(f"{path}: no such file") from None
        except (OSError, ValueError) as error:
            raise RequestError(f"{path}: cannot be opened: {error}") from None
        self._measure(str(path))

    @classmethod
    def of_descriptor(cls, descriptor: int, name: str) -> Self:
        """A file that is open already; the source owns the descriptor from now on.

        Raises:
            RequestError: it is not a regular file.
        """
        source = cls.__new__(cls)
        source._name = name
        source._fd = descriptor
        source._measure(name)
        return source

    def _measure(self, what: str) -> None:
        status = os.fstat(self._fd)
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise RequestError(f"{what}: not a regular file")
        self._size = status.st_size

    def fileno(self) -> int:
        """The descriptor, open for reading."""
        return self._fd

    @property
    def name(self) -> str:
        """The path, or the label given instead."""
        return self._name

    @property
    def size_bytes(self) -> int:
        """Size when the file was opened."""
        return self._size

    def read_at(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`, fewer only at the end of the file."""
        wanted = max(0, min(length, self._size - offset))
        pieces: list[bytes] = []
        while wanted > 0:
            piece = os.pread(self._fd, wanted, offset)
            if not piece:
                raise MalformedError("the file shrank while it was read", source=self._name)
            pieces.append(piece)
            offset += len(piece)
            wanted -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Fill a buffer from `offset`; the bytes that came, 0 only at the end of the file."""
        return os.preadv(self._fd, [buffer], offset)

    def close(self) -> None:
        """Release the file; reading afterwards is an error. Closing twice is not."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class BytesSource:
    """Bytes held in memory under a name."""

    def __init__(self, data: bytes, name: str = "") -> None:
        self._data = data
        self._name = name

    @property
    def name(self) -> str:
        """The label given."""
        return self._name

    @property
    def size_bytes(self) -> int:
        """Number of bytes."""
        return len(self._data)

    def read_at(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`, fewer only at the end."""
        return self._data[offset : offset + max(0, length)]


class WindowSource:
    """The bytes `start .. stop` of another source, under a name of their own."""

    def __init__(self, source: Source, start: int, stop: int, name: str | None = None) -> None:
        if not 0 <= start <= stop <= source.size_bytes:
            raise MalformedError(
                f"window {start}..{stop} reaches outside {source.size_bytes} bytes",
                source=source.name,
            )
        self._source = source
        self._start = start
        self._size = stop - start
        self._name = source.name if name is None else name

    @property
    def name(self) -> str:
        """The label given, or the name of the source beneath."""
        return self._name

    @property
    def size_bytes(self) -> int:
        """Bytes in the window."""
        return self._size

    def read_at(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset` within the window, fewer only at its end."""
        wanted = max(0, min(length, self._size - offset))
        return self._source.read_at(self._start + offset, wanted) if wanted else b""


def read_exactly(source: Source, offset: int, length: int, what: str) -> bytes:
    """`length` bytes at `offset`.

    Raises:
        MalformedError: the source ends before; `what` says what was being read.
    """
    data = source.read_at(offset, length) if offset + length <= source.size_bytes else b""
    if len(data) != length:
        raise MalformedError(
            f"the file ends inside {what} ({length} bytes wanted, {source.size_bytes} in all)",
            source=source.name,
            offset=offset,
        )
    return data
