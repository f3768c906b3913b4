"""What the compiled loops over two tensors side by side add up, from first block to last."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cairn.analysis.floats import Floats
from cairn.analysis.low_rank import RowSketch
from cairn.analysis.pair_kernels import (
    AFTER,
    BEFORE,
    CHANGED,
    DIFFERENCE,
    LEFT_OUT,
    PRODUCT,
    RUN_ELEMENTS,
    add_floats,
    add_narrow,
)
from cairn.analysis.sketch_kernels import NO_SKETCH
from cairn.compiled import read_only

Words = NDArray[np.uint16]

_INTEGERS: dict[int, tuple[np.dtype[Any], np.dtype[Any]]] = {
    4: (np.dtype("<u4"), np.dtype("<i4")),
    8: (np.dtype("<u8"), np.dtype("<i8")),
}


class PairSums:
    """Sums over pairs of finite numbers; `pair_kernels` says how exact they are."""

    def __init__(self, sketch: RowSketch | None = None) -> None:
        """`sketch` gets the differences of the rows it samples."""
        self._sketch = NO_SKETCH if sketch is None else sketch.loop_arguments
        self._sums = np.zeros(4)
        self._counts = np.zeros(2, np.int64)
        self._scratch = np.empty((3, RUN_ELEMENTS), np.float32)
        self._seen = 0
        self.largest_difference = 0.0

    def add_floats(self, before: Floats, after: Floats) -> None:
        """The next numbers of both sides, of one width."""
        if self._scratch.dtype != before.dtype:
            self._scratch = np.empty((3, RUN_ELEMENTS), before.dtype)
        sides = read_only(before), read_only(after)
        words, _ = _INTEGERS[before.itemsize]
        self._done(
            add_floats(
                sides,
                (sides[0].view(words), sides[1].view(words)),
                *self._loop_arguments(),
            ),
            before.size,
        )

    def add_narrow(self, before: Words, after: Words, exponent_bits: int) -> None:
        """The next 16-bit floats of both sides, by the bits of their exponents."""
        words = read_only(before), read_only(after)
        self._done(add_narrow(words, exponent_bits, *self._loop_arguments()), before.size)

    def _loop_arguments(self) -> tuple[Any, ...]:
        _, signed = _INTEGERS[self._scratch.itemsize]
        bits = self._scratch[2].view(signed)
        return self._seen, self._scratch, bits, self._sums, self._counts, self._sketch

    def _done(self, largest: float, numbers: int) -> None:
        self._seen += numbers
        self.largest_difference = max(self.largest_difference, largest)

    @property
    def changed(self) -> int:
        """Numbers with other bits."""
        return int(self._counts[CHANGED])

    @property
    def not_finite(self) -> int:
        """Pairs that are in no sum."""
        return int(self._counts[LEFT_OUT])

    @property
    def norms(self) -> tuple[float, float, float]:
        """The norms of the numbers before, after, and of the difference."""
        before, after, difference = (float(self._sums[at]) for at in (BEFORE, AFTER, DIFFERENCE))
        return before**0.5, after**0.5, difference**0.5

    @property
    def cosine(self) -> float | None:
        """That of both sides as vectors; None where one has no length."""
        before, after, _ = self.norms
        if not before or not after:
            return None
        return min(1.0, max(-1.0, float(self._sums[PRODUCT]) / (before * after)))
