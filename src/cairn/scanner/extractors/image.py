"""Images walked from block to block to their end: what follows it is looked into.

PNG: https://www.w3.org/TR/png-3/. JPEG: ITU-T T.81, annex B. GIF:
https://www.w3.org/Graphics/GIF/spec-gif89a.txt. WebP:
https://developers.google.com/speed/webp/docs/riff_container.
"""

from collections.abc import Callable

from cairn.domain import Source
from cairn.errors import LimitError
from cairn.formats import WindowSource
from cairn.formats.read_ahead import ReadAheadSource
from cairn.formats.sources import read_exactly
from cairn.scanner.extractor import Extractor
from cairn.scanner.trace import Trace

_MAX_BLOCKS = 1_000_000
_BLOCK_BYTES = 64 << 10
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_NO_LENGTH = (0x01, *range(0xD0, 0xD9))
_SCAN, _END = 0xDA, 0xD9
_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B


class ImageExtractor(Extractor):
    """PNG, JPEG, GIF and WebP."""

    @property
    def name(self) -> str:
        """`image`."""
        return "image"

    def claims(self, head: bytes, source: Source) -> bool:
        """By the magic numbers."""
        del source
        return _walker(head) is not None

    def extract(self, source: Source, trace: Trace) -> None:
        """Find the end, and look into what comes after it."""
        walker = _walker(source.read_at(0, 16))
        assert walker is not None
        trace.spend(source.size_bytes)
        end = walker(ReadAheadSource(source))
        rest = WindowSource(source, end, source.size_bytes, "bytes after the image")
        if any(rest.read_at(0, _BLOCK_BYTES).strip(b"\0\r\n ")) or rest.size_bytes > _BLOCK_BYTES:
            trace.enter(rest.name, rest)


def _walker(head: bytes) -> Callable[[Source], int] | None:
    if head.startswith(_PNG):
        return _png_end
    if head.startswith(_JPEG):
        return _jpeg_end
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return _gif_end
    return _webp_end if head[:4] == b"RIFF" and head[8:12] == b"WEBP" else None


def _png_end(source: Source) -> int:
    at = len(_PNG)
    for _ in range(_MAX_BLOCKS):
        head = read_exactly(source, at, 8, "a chunk of a PNG image")
        at += 12 + int.from_bytes(head[:4], "big")
        read_exactly(source, at - 4, 4, "a chunk of a PNG image")
        if head[4:] == b"IEND":
            return at
    raise _endless(source)


def _jpeg_end(source: Source) -> int:
    at = 2
    for _ in range(_MAX_BLOCKS):
        mark = read_exactly(source, at, 2, "a marker of a JPEG image")
        at += 1 if mark == b"\xff\xff" else 2
        if mark[1] == _END:
            return at
        if mark[0] != 0xFF:
            at = _next_marker(source, at - 2)
        elif mark != b"\xff\xff" and mark[1] not in _NO_LENGTH:
            at += int.from_bytes(read_exactly(source, at, 2, "a length in a JPEG image"), "big")
            if mark[1] == _SCAN:
                at = _next_marker(source, at)
    raise _endless(source)


def _next_marker(source: Source, at: int) -> int:
    """The next marker after coded data, in which `FF` stands before a zero or a restart."""
    while True:
        block = read_exactly(source, at, min(_BLOCK_BYTES, max(2, source.size_bytes - at)), "data")
        found = block.find(b"\xff")
        while 0 <= found < len(block) - 1:
            if block[found + 1] and not 0xD0 <= block[found + 1] <= 0xD7:
                return at + found
            found = block.find(b"\xff", found + 2)
        at += max(1, len(block) - 1)


def _gif_end(source: Source) -> int:
    flags = read_exactly(source, 10, 1, "the head of a GIF image")[0]
    at = 13 + _colours(flags)
    for _ in range(_MAX_BLOCKS):
        kind = read_exactly(source, at, 1, "a block of a GIF image")[0]
        if kind == _TRAILER:
            return at + 1
        if kind == _EXTENSION:
            at += 2
        elif kind == _IMAGE:
            at += 11 + _colours(read_exactly(source, at + 9, 1, "the head of a GIF frame")[0])
        else:
            raise _endless(source)
        while size := read_exactly(source, at, 1, "data of a GIF image")[0]:
            at += 1 + size
        at += 1
    raise _endless(source)


def _colours(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _webp_end(source: Source) -> int:
    size = int.from_bytes(source.read_at(4, 4), "little")
    read_exactly(source, 8 + size - 1, 1, "a WebP image")
    return 8 + size + size % 2 if 8 + size + size % 2 <= source.size_bytes else 8 + size


def _endless(source: Source) -> LimitError:
    return LimitError("the end of the image was not found", source=source.name)
