"""The one seam to pcodec: integers of two, four or eight bytes into few bits and back.

Streams are pcodec's standalone format (https://github.com/pcodec/pcodec), which says its
version; `tests/old` holds us to reading what earlier releases wrote. Both directions release
the GIL.
"""

from functools import cache
from typing import Any

import numpy as np

from cairn.errors import IntegrityError


def level_for(values: "np.ndarray[Any, Any]") -> int:
    """The level, of 0..12, at which the last step up still takes less than a nanosecond or two.

    A level is a number of bins, to be found by trials whatever the stream's length: of wide
    integers, short streams take several times as long at 9 as at 6, for 0.5 % less.
    """
    steps = values.size.bit_length() // 2
    return min(10, max(8, steps)) if values.itemsize == 2 else min(9, max(6, steps - 1))


@cache
def _configuration(level: int) -> Any:
    from pcodec import (  # type: ignore[import-untyped]
        ChunkConfig,
        DeltaSpec,
        ModeSpec,
    )

    return ChunkConfig(
        compression_level=level, mode_spec=ModeSpec.classic(), delta_spec=DeltaSpec.no_op()
    )


def compress_integers(values: "np.ndarray[Any, Any]") -> bytes:
    """One stream for a contiguous array of signed integers (n,)."""
    from pcodec import standalone

    stream: bytes = standalone.simple_compress(values, _configuration(level_for(values)))
    return stream


def decompress_integers(stream: memoryview, out: "np.ndarray[Any, Any]") -> None:
    """Fill `out` from one stream of exactly as many integers of its type.

    Raises:
        IntegrityError: the stream is damaged or holds something else.
    """
    from pcodec import standalone

    try:
        progress = standalone.simple_decompress_into(bytes(stream), out)
    except (RuntimeError, TypeError) as error:
        raise IntegrityError(f"pcodec stream does not decode: {error}") from None
    if progress.n_processed != len(out) or not progress.finished:
        raise IntegrityError(f"pcodec stream does not hold {len(out)} integers")
