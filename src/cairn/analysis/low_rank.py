"""How many independent directions a change of a matrix has: the rank of a merged adapter.

A LoRA merge adds a product of two thin matrices, so the difference has a small rank, blurred by
the rounding of the result. Some rows of the difference show the same rank as all of them, and a
random projection of those keeps it: the singular values of the sketch that stand out of what
rounding alone would leave are counted.

Halko, Martinsson, Tropp: Finding structure with randomness, 2011, https://arxiv.org/abs/0909.4061
"""

from functools import cache

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from cairn.analysis.eigenvalues import eigenvalues
from cairn.analysis.sketch_kernels import Sketch, exceeds, gram
from cairn.domain import DType, RankEstimate
from cairn.formats.dtypes import numpy_dtype

SAMPLED_ROWS = 192
"""Rows looked at: three times the largest rank that is told."""

SKETCH_COLUMNS = 80
"""Columns of the sketch: the largest rank that is told, and some to see the noise in."""

LARGEST_RANK = 64
"""Adapters of higher rank are rare, and telling them from full updates costs four times as much."""

GROUP_ROWS = 16
"""Sampled rows come in groups of this many, evenly spread: neighbours are in one block."""

_WEIGHTS = 1 << 14
"""Random weights, used again after so many columns: at other places, being no multiple of those."""

_ABOVE_NOISE = 2.0  # a singular value this far above the largest that noise gives is signal
_GAP_AT_NOISE = 1.7
_GAP_BEFORE_NOISE = 3.0
_CHANGED_ROWS = 0.5  # of the rows, or else it is an update of single rows, whatever its rank


class RowSketch:
    """Projects sampled rows of a matrix's difference onto few columns while the values stream by.

    The projection is sparse (Nelson, Nguyen: OSNAP, 2012, https://arxiv.org/abs/1211.1002): every
    column counts at two places with random weights. That costs two additions per value, where
    dense directions cost as many as the sketch has columns, and no row is kept.
    """

    def __init__(self, rows: int, columns: int) -> None:
        wanted = min(rows, SAMPLED_ROWS)
        groups = max(1, wanted // GROUP_ROWS)
        taken = wanted if groups == 1 else GROUP_ROWS
        height = groups * taken
        width = min(SKETCH_COLUMNS, columns, height)
        self._rows, self._columns = rows, columns
        starts = np.linspace(0, rows - taken, groups).astype(np.int64)
        self._sketch = np.zeros((height, width))  # (sampled rows, places)
        self._weights = _weights(0.0 if columns <= width else 1.0)
        self.loop_arguments: Sketch = (starts * columns, columns, self._weights, self._sketch)

    def rank(self, noise: float) -> RankEstimate:
        """The rank of the difference, where rounding leaves errors of `noise` (rms) behind."""
        height, width = self._sketch.shape
        largest = float(np.abs(self._sketch).max())
        if not np.isfinite(largest):
            return RankEstimate(None, height, self._rows, 0.0)
        sketch = self._sketch / (largest or 1.0)  # so that no square overflows
        # The largest singular value of a matrix of independent errors: Bai-Yin.
        weight = float((self._weights**2).sum(axis=0).mean())
        spread = (weight * self._columns / width) ** 0.5
        loudest = noise / (largest or 1.0) * spread * (height**0.5 + width**0.5)
        values = _singular_values(sketch, _ABOVE_NOISE * loudest)
        if values is None:
            return RankEstimate(None, height, self._rows, 1.0)
        found = _standing_out(values, _ABOVE_NOISE * loudest)
        energy = float((values[:found] ** 2).sum() / max((values**2).sum(), 1e-300))
        limit = min(LARGEST_RANK, width - width // 8, min(height, self._columns) // 2)
        changed = np.count_nonzero(sketch.any(axis=1)) / height
        low = 0 < found <= limit and found < width and changed >= _CHANGED_ROWS
        return RankEstimate(found if low else None, height, self._rows, energy)


def _singular_values(sketch: NDArray[np.float64], noise: float) -> NDArray[np.float64] | None:
    """Largest first; None where all of them exceed the noise, as those of a full update do.

    From the squares: a tenth of the time of a decomposition, and exact enough for what float32
    values leave to see.
    """
    products = gram(np.ascontiguousarray(sketch.T))
    # What rounding of the products leaves of a singular value that is zero counts as zero.
    rounding = float(np.trace(products)) * len(products) * np.finfo(np.float64).eps
    if exceeds(products, max(noise**2, rounding)):
        return None
    squares = eigenvalues(products)  # (width)
    values: NDArray[np.float64] = np.sqrt(np.maximum(squares, 0))
    return values


@cache
def _weights(second: float) -> NDArray[np.float32]:
    """Weights of columns at their first places, and at their second ones times `second`.

    Those of the first are signs. Those of the second are half as large and all different, so that
    not even columns that meet at both places look alike. The same each time, for equal answers.
    """
    rng = np.random.default_rng(0)
    signs = rng.choice(np.array([-1, 1], np.float32), (2, _WEIGHTS))
    signs[1] *= second * rng.uniform(0.25, 0.75, _WEIGHTS)
    return signs


def _standing_out(values: NDArray[np.floating], noise: float) -> int:
    """How many singular values, largest first, are above a gap and above the noise.

    Rounding is no independent error: it grows with the value it rounds. So the edge of the noise
    counts only where the values fall steeply across it, else a steeper fall before it does.
    """
    above = int((values > noise).sum())
    if not 0 < above < len(values):
        return above
    falls = values[:above] / np.maximum(values[1 : above + 1], np.finfo(values.dtype).tiny)
    if falls[-1] >= _GAP_AT_NOISE:
        return above
    steepest = int(falls.argmax())
    return steepest + 1 if falls[steepest] >= _GAP_BEFORE_NOISE else len(values)


def rounding_noise(dtype: DType, rms: float) -> float:
    """The rms error of rounding values of this size to a type: a uniform error of one spacing.

    The spacing relative to the value varies by two within an octave; 0.72 is its mean.
    """
    kind = numpy_dtype(dtype)
    if kind is None:
        return 0.0
    spacing = float(ml_dtypes.finfo(kind).eps)  # type: ignore[no-untyped-call]
    return 0.72 * spacing * rms / 12**0.5
