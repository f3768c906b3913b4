"""The one seam to the zstd libraries: compress in two ways, decompress into a given buffer.

Frames are plain zstd (RFC 8878) whichever way they were made. Python 3.14 brings the
module as `compression.zstd` (PEP 784); before, `backports.zstd` is the same code.
Decoding uses zstandard: it fills the caller's buffer and cannot write past it. Given the whole
frame and room for all of it, libzstd decodes into that room; streaming, as the others do, goes
through a window and copies, which took 1.1 to 1.6 times as long on planes of weights.
All release the GIL.
"""

import sys
from typing import Any

import zstandard

from cairn.errors import IntegrityError
from cairn.store.cutting import MAX_PART_BYTES

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# ZSTD_c_literalCompressionMode (experimental parameter 1002 in zstd.h), 1 = always Huffman.
# With the lowest level there is no match search left: a pure, fast Huffman coder. Only the
# encoder uses it; if a future zstd drops it, `_huffman_works` falls back to level 1.
_HUFFMAN: dict[Any, int] = {zstd.CompressionParameter.compression_level: -131072, 1002: 1}

# No frame of ours looks back further than a part is long; a damaged one may claim gigabytes.
_MAX_WINDOW_BYTES = 2 * MAX_PART_BYTES


def _huffman_works() -> bool:
    try:
        return len(zstd.compress(b"ab" * 500 + b"c" * 3000, options=_HUFFMAN)) < 2000
    except (zstd.ZstdError, ValueError, TypeError):
        return False


class HuffmanMode:
    """Whether this zstd can be a Huffman-only coder; asked once, when first needed."""

    _works: bool | None = None

    @classmethod
    def works(cls) -> bool:
        """True where parameter 1002 is accepted and does what it should."""
        if cls._works is None:
            cls._works = _huffman_works()
        return cls._works


def compress(data: bytes | memoryview, level: int) -> bytes:
    """One zstd frame; `level` 1..19."""
    return zstd.compress(data, level=level)


def compress_huffman(data: bytes | memoryview) -> bytes:
    """One zstd frame made by entropy coding alone, without a search for repetitions."""
    if HuffmanMode.works():
        return zstd.compress(data, options=_HUFFMAN)
    return zstd.compress(data, level=1)


def decompress_into(frame: memoryview, out: memoryview) -> None:
    """Decode one frame that fills `out` exactly.

    Raises:
        IntegrityError: the frame is damaged or holds another number of bytes.
    """
    decoder = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
    try:
        with decoder.stream_reader(frame) as plain:
            written = plain.readinto(out)
            longer = bool(plain.read(1))
    except zstandard.ZstdError as error:
        raise IntegrityError(f"zstd frame does not decode: {error}") from None
    if written != len(out) or longer:
        raise IntegrityError(f"zstd frame does not hold {len(out)} bytes")
