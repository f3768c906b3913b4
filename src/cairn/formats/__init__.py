"""Reading: bytes in, `Layout` out, nothing executed."""

from cairn.formats.base import ASSEMBLERS, READERS, Assembler, Reader, find_reader, read_layout
from cairn.formats.folder import File, Files
from cairn.formats.sources import BytesSource, FileSource, WindowSource

__all__ = [
    "ASSEMBLERS",
    "READERS",
    "Assembler",
    "BytesSource",
    "File",
    "FileSource",
    "Files",
    "Reader",
    "WindowSource",
    "find_reader",
    "read_layout",
]
