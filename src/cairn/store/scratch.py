"""Memory that is used again and again: touching fresh pages costs more than most codecs."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from cairn.store.cutting import MAX_PART_BYTES

# Each of the threads at work holds at most three of the size of a part at a time.
SPARE_BUFFERS = 8


class Scratch:
    """Lends buffers for the length of a `with` block; thread-safe.

    A deque's pop and append are atomic; more threads than buffers get fresh ones.
    """

    def __init__(self) -> None:
        self._spare: deque[np.ndarray[Any, Any]] = deque(maxlen=SPARE_BUFFERS)

    @contextmanager
    def bytes(self, size_bytes: int) -> Iterator[memoryview]:
        """A writable buffer of so many bytes, with anything in it."""
        try:
            buffer = self._spare.pop()
        except IndexError:
            buffer = np.empty(0, dtype=np.uint8)
        if buffer.size < size_bytes:
            buffer = np.empty(max(size_bytes, MAX_PART_BYTES), dtype=np.uint8)
        yield buffer[:size_bytes].data
        self._spare.append(buffer)
