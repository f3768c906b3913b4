"""The one seam to threadpoolctl: matrix products by one thread.

OpenBLAS wakes a thread per core for each product and lets them wait busily. For matrices as
thin as an adapter's that costs more than it brings, and beside other work many times more.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

_TURN = threading.Lock()  # the number of threads is one for the whole process


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """NumPy multiplies with one thread for the length of a `with` block."""
    with _TURN, _controller().limit(limits=1, user_api="blas"):
        yield


@cache
def _controller() -> Any:
    """Looks through the loaded libraries, once: NumPy's are loaded with it."""
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    return ThreadpoolController()
