"""NumPy's array files: numbers behind a header, or a pickle where elements are Python objects."""

from typing import ClassVar

from cairn.domain import Source
from cairn.errors import LimitError, MalformedError
from cairn.formats import WindowSource
from cairn.formats.npy_header import FIRST_BYTES, MAGIC, header_bytes, parse_header
from cairn.formats.sources import read_exactly
from cairn.scanner.evidence.base import Unread
from cairn.scanner.extractor import Extractor
from cairn.scanner.pickle_notes import note_hidden
from cairn.scanner.trace import Trace


class NpyExtractor(Extractor):
    """Content that `numpy.load` takes for an array."""

    version: ClassVar[int] = 2

    @property
    def name(self) -> str:
        """`npy`."""
        return "npy"

    def claims(self, head: bytes, source: Source) -> bool:
        """By its magic number."""
        del source
        return head.startswith(MAGIC)

    def extract(self, source: Source, trace: Trace) -> None:
        """Account for every byte behind the header; a pickle there is examined as one."""
        size = _header_bytes(source)
        header = parse_header(read_exactly(source, 0, size, "the header"), source.name)
        if header.data_bytes is None:
            trace.enter("objects", WindowSource(source, size, source.size_bytes, "objects"))
            return
        end = size + header.data_bytes
        if end > source.size_bytes:
            raise MalformedError(
                f"the array needs {header.data_bytes} bytes, {source.size_bytes - size} follow",
                source=source.name,
                offset=size,
            )
        if end < source.size_bytes:
            left = source.size_bytes - end
            trace.note(Unread(trace.at(end), f"{left} bytes follow the array"))
            note_hidden(source, end, trace)


def _header_bytes(source: Source) -> int:
    """The length of the header.

    Raises:
        MalformedError: it is longer than the file.
        LimitError: it is longer than is read, and the file is as well.
    """
    try:
        return header_bytes(source.read_at(0, FIRST_BYTES), source.name)
    except LimitError as error:
        declared = int.from_bytes(source.read_at(8, 4), "little")
        if declared > source.size_bytes:
            raise MalformedError(error.what, source=source.name, offset=8) from None
        raise
