"""Two tensors of equal shape side by side: how much changed, in which direction, at what rank."""

from math import prod

import numpy as np
from numpy.typing import NDArray

from cairn.analysis.floats import (
    Buffer,
    floats,
    is_decodable,
    is_floating,
    parts_per_element,
)
from cairn.analysis.low_rank import RowSketch, rounding_noise
from cairn.analysis.pair_kernels import count_different
from cairn.analysis.pair_sums import PairSums
from cairn.analysis.widening import BRAIN_EXPONENT_BITS, HALF_EXPONENT_BITS
from cairn.domain import Comparison, DType, RankEstimate
from cairn.formats.dtypes import numpy_dtype

_WORDS = {1: "<u1", 2: "<u2", 4: "<u4", 8: "<u8"}
_EXPONENT_BITS = {DType.F16: HALF_EXPONENT_BITS, DType.BF16: BRAIN_EXPONENT_BITS}
_PLAIN = frozenset((DType.F32, DType.F64))

MIN_SIDE = 16
"""Matrices with a shorter side have no rank worth telling low from full."""


class PairComparison:
    """Compares two streams of values fed in equal runs of elements."""

    def __init__(self, shape: tuple[int, ...], before: DType, after: DType) -> None:
        """`shape` is that of both tensors, in elements.

        Raises:
            KeyError: values of one of the types do not decode; ask `comparable` first.
        """
        if not comparable(before, after):
            raise KeyError(f"{before.label} and {after.label}")
        self._before, self._after = before, after
        self._same_dtype = before is after
        self._has_words = before.block_elements == 1 and before.block_bytes in _WORDS
        self._cast = not self._same_dtype
        self._elements = self._changed = 0
        self._sketch: RowSketch | None = None
        rows, columns = shape[0] if shape else 1, prod(shape[1:])
        if _has_rank(after) and min(rows, columns) >= MIN_SIDE:
            self._sketch = RowSketch(rows, columns)
        self._sums = PairSums(self._sketch)

    def add(self, before: Buffer, after: Buffer, elements: int) -> None:
        """The next `elements` elements of both, as little-endian bytes."""
        self._elements += elements
        if self._same_dtype and self._before in _EXPONENT_BITS:
            a, b = _words(before, self._before), _words(after, self._after)
            self._sums.add_narrow(a, b, _EXPONENT_BITS[self._before])
            self._changed = self._sums.changed
            return
        x, y = floats(before, self._before, elements), floats(after, self._after, elements)
        if x.dtype != y.dtype:
            x, y = x.astype(np.float64), y.astype(np.float64)
        self._sums.add_floats(x, y)
        if self._same_dtype and self._before in _PLAIN:
            self._changed = self._sums.changed
        else:
            self._changed += self._different(before, after, x, y)

    def _different(
        self,
        before: Buffer,
        after: Buffer,
        a: NDArray[np.floating],
        b: NDArray[np.floating],
    ) -> int:
        """How many elements differ; also whether the second may still be a cast of the first."""
        if self._same_dtype and self._has_words:
            return int(count_different(_words(before, self._before), _words(after, self._after)))
        if self._cast:
            rounded = _rounded(a, self._after)
            kept = np.frombuffer(after, np.uint8)
            self._cast = rounded is not None and bool(np.array_equal(rounded, kept))
        differs = (a != b) & ~(np.isnan(a) & np.isnan(b))
        parts = parts_per_element(self._after)
        return int(np.count_nonzero(differs.reshape(-1, parts).any(axis=1)))

    def result(self) -> Comparison:
        """What all blocks together say."""
        before, after, difference = self._sums.norms
        return Comparison(
            elements=self._elements,
            changed=self._changed,
            cast=self._cast,
            norm_before=before,
            norm_after=after,
            norm_difference=difference,
            largest_difference=self._sums.largest_difference,
            cosine=self._sums.cosine,
            not_finite=self._sums.not_finite,
            rank=self._rank(after),
        )

    def _rank(self, norm_after: float) -> RankEstimate | None:
        if self._sketch is None or not self._changed or self._cast:
            return None
        # The difference of a tensor kept in less precision carries that rounding, too.
        coarser = max((self._before, self._after), key=lambda d: rounding_noise(d, 1.0))
        return self._sketch.rank(rounding_noise(coarser, norm_after / self._elements**0.5))


def _has_rank(dtype: DType) -> bool:
    return is_floating(dtype) and parts_per_element(dtype) == 1


def comparable(before: DType, after: DType) -> bool:
    """Whether values of both types decode to numbers that can be compared."""
    return is_decodable(before) and is_decodable(after)


def _words(block: Buffer, dtype: DType) -> NDArray[np.unsignedinteger]:
    return np.frombuffer(block, np.uint8).view(_WORDS[dtype.block_bytes])


def _rounded(values: NDArray[np.floating], dtype: DType) -> NDArray[np.uint8] | None:
    """The bytes of values rounded to a type; None where NumPy has no such type."""
    kind = numpy_dtype(dtype)
    if kind is None or dtype.label.startswith("C"):
        return None
    with np.errstate(all="ignore"):  # overflow to infinity is what a cast does
        return values.astype(kind).view(np.uint8).reshape(-1)
