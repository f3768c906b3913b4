"""Compressed bytes unpacked in memory, within the file's budget and against bombs."""

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import NamedTuple, Protocol

from cairn.domain import Source
from cairn.errors import LimitError, MalformedError
from cairn.formats.limits import MAX_INFLATE_RATIO
from cairn.scanner.trace import Trace

# Held in memory at once; compressed arrays that are longer are not looked into.
MAX_PLAIN_BYTES = 256 << 20

# Zeros shrink a thousand times; only what is large as well is a bomb.
_HARMLESS_BYTES = 32 << 20

_BLOCK_BYTES = 1 << 20


class _Decompressor(Protocol):
    def decompress(self, data: bytes, limit: int, /) -> bytes: ...
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...


class _Zlib:
    """zlib's decompressor in the form of those of bz2 and lzma, which keep what is left over."""

    def __init__(self, window_bits: int) -> None:
        self._inner = zlib.decompressobj(window_bits)

    def decompress(self, data: bytes, limit: int, /) -> bytes:
        """The next `limit` plain bytes at most."""
        return self._inner.decompress(self._inner.unconsumed_tail + data, limit)

    @property
    def eof(self) -> bool:
        """Whether the end of the stream was reached."""
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        """What was given and follows the end."""
        return self._inner.unused_data


METHODS: dict[str, Callable[[], _Decompressor]] = {
    "deflate": lambda: _Zlib(-zlib.MAX_WBITS),
    "zlib": lambda: _Zlib(zlib.MAX_WBITS),
    "gzip": lambda: _Zlib(16 + zlib.MAX_WBITS),
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(memlimit=MAX_PLAIN_BYTES),
}


_MAGICS = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x5d\0\0": "xz"}
_ZLIB_FIRST = b"\x78"


def method_of(head: bytes) -> str | None:
    """How a stream is compressed, by its magic number; zlib's has none, so some must unpack."""
    known = next((method for magic, method in _MAGICS.items() if head.startswith(magic)), None)
    if known is None and head.startswith(_ZLIB_FIRST) and _is_zlib(head):
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


class Inflated(NamedTuple):
    """Plain bytes, and how many packed ones they were made of."""

    plain: bytes
    packed_bytes: int


def inflated(source: Source, start: int, stop: int, method: str, trace: Trace) -> Inflated:
    """The stream that begins at `start` of a source, unpacked.

    Raises:
        LimitError: it is longer than `MAX_PLAIN_BYTES`, or than the budget allows.
        MalformedError: it is broken, ends early, or grows like a bomb.
    """
    stream = METHODS[method]()
    pieces: list[bytes] = []
    plain_bytes = 0
    at = start
    while not stream.eof:
        drained = not pieces or len(pieces[-1]) < _BLOCK_BYTES
        data = source.read_at(at, min(_BLOCK_BYTES, stop - at)) if drained else b""
        at += len(data)
        try:
            piece = stream.decompress(data, _BLOCK_BYTES)
        except (zlib.error, lzma.LZMAError, OSError, EOFError) as error:
            raise MalformedError(f"{method} data is broken: {error}", offset=start) from None
        if not data and not piece and not stream.eof:
            raise MalformedError(f"{method} data ends early", offset=start)
        trace.spend(len(piece))
        plain_bytes += len(piece)
        pieces.append(piece)
        _check(plain_bytes, at - start, start, method)
    return Inflated(b"".join(pieces), at - start - len(stream.unused_data))


def _check(plain_bytes: int, packed_bytes: int, start: int, method: str) -> None:
    if plain_bytes > _HARMLESS_BYTES and plain_bytes > MAX_INFLATE_RATIO * packed_bytes:
        raise MalformedError(
            f"{method} data grows more than {MAX_INFLATE_RATIO} times, to over"
            f" {_HARMLESS_BYTES} bytes",
            offset=start,
        )
    if plain_bytes > MAX_PLAIN_BYTES:
        raise LimitError(f"{method} data unpacks to more than {MAX_PLAIN_BYTES} bytes")
