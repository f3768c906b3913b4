"""Reading: bytes in, `Layout` out, nothing executed."""

from cairn.formats.base import READERS, Reader, find_reader, read_layout
from cairn.formats.sources import BytesSource, FileSource, WindowSource

__all__ = [
    "READERS",
    "BytesSource",
    "FileSource",
    "Reader",
    "WindowSource",
    "find_reader",
    "read_layout",
]
