"""The one seam to pcodec: integers of two, four or eight bytes into few bits and back.

Streams are pcodec's standalone format (https://github.com/pcodec/pcodec), which says its
version; `tests/old` holds us to reading what earlier releases wrote. Both directions release
the GIL.
"""

from functools import cache
from typing import Any

import numpy as np

from cairn.errors import IntegrityError

LEVEL = 8  # of 0..12; level 4 is a quarter faster to write and 1-2 % larger (docs/benchmarks.md)


@cache
def _configuration() -> Any:
    from pcodec import (  # type: ignore[import-untyped]
        ChunkConfig,
        DeltaSpec,
        ModeSpec,
    )

    return ChunkConfig(
        compression_level=LEVEL, mode_spec=ModeSpec.classic(), delta_spec=DeltaSpec.no_op()
    )


def compress_integers(values: "np.ndarray[Any, Any]") -> bytes:
    """One stream for a contiguous array of signed integers (n,)."""
    from pcodec import standalone

    stream: bytes = standalone.simple_compress(values, _configuration())
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
