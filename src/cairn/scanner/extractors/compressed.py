"""gzip, bzip2, xz and zlib streams: what loaders unpack without being asked, as joblib's does."""

import zlib

from cairn.domain import Source
from cairn.formats import BytesSource, WindowSource
from cairn.formats.limits import HEAD_BYTES
from cairn.scanner.evidence.base import Unread
from cairn.scanner.extractor import Extractor
from cairn.scanner.inflating import METHODS, inflated
from cairn.scanner.trace import Trace

_MAGICS = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x5d\0\0": "xz"}
_ZLIB_FIRST = 0x78

# Streams in one file; gzip's and bzip2's may follow each other.
_MAX_STREAMS = 1000


class CompressedExtractor(Extractor):
    """Content that is one or several compressed streams."""

    @property
    def name(self) -> str:
        """`compressed`."""
        return "compressed"

    def claims(self, head: bytes, source: Source) -> bool:
        """By magic numbers; zlib has none, so its first bytes must unpack."""
        del source
        return _method(head) is not None

    def extract(self, source: Source, trace: Trace) -> None:
        """Unpack each stream, and examine what comes out as one file."""
        at = 0
        plain: list[bytes] = []
        method: str | None = ""
        for _ in range(_MAX_STREAMS):
            method = _method(source.read_at(at, HEAD_BYTES))
            if method is None:
                break
            found = inflated(source, at, source.size_bytes, method, trace)
            plain.append(found.plain)
            at += found.packed_bytes
        rest = WindowSource(source, at, source.size_bytes)
        trace.enter("unpacked", BytesSource(b"".join(plain), _plain_name(source.name)))
        if rest.size_bytes:
            trace.note(Unread(trace.at(at), f"{rest.size_bytes} bytes follow the last stream"))
            trace.enter("rest", rest)


def _method(head: bytes) -> str | None:
    known = next((method for magic, method in _MAGICS.items() if head.startswith(magic)), None)
    if known is None and head[:1] == bytes([_ZLIB_FIRST]) and _is_zlib(head):
        return "zlib"
    return known


def _is_zlib(head: bytes) -> bool:
    """The check of RFC 1950, and that something unpacks."""
    if int.from_bytes(head[:2], "big") % 31:
        return False
    try:
        return bool(METHODS["zlib"]().decompress(head, 1))
    except zlib.error:
        return False


def _plain_name(name: str) -> str:
    return name.rpartition(".")[0] or name
