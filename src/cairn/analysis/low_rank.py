"""How many independent directions a change of a matrix has: the rank of a merged adapter.

A LoRA merge adds a product of two thin matrices, so the difference has a small rank, blurred by
the rounding of the result. Some rows of the difference show the same rank as all of them, and a
random projection of those keeps it: the singular values of the sketch that stand out of what
rounding alone would leave are counted.

Halko, Martinsson, Tropp: Finding structure with randomness, 2011, https://arxiv.org/abs/0909.4061
"""

from dataclasses import dataclass
from functools import lru_cache

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from cairn.domain import DType
from cairn.formats.dtypes import numpy_dtype

SAMPLED_ROWS = 192
"""Rows looked at: three times the largest rank that is told."""

SKETCH_COLUMNS = 80
"""Columns of the sketch: the largest rank that is told, and some to see the noise in."""

LARGEST_RANK = 64
"""Adapters of higher rank are rare, and telling them from full updates costs four times as much."""

GROUP_ROWS = 16
"""Sampled rows come in groups of this many, evenly spread, because neighbours are read together."""

_SAMPLE_BYTES = 64 << 20
_ABOVE_NOISE = 2.0  # a singular value this far above the largest that noise gives is signal
_GAP_AT_NOISE = 1.7
_GAP_BEFORE_NOISE = 3.0
_CHANGED_ROWS = 0.5  # of the rows, or else it is an update of single rows, whatever its rank


@dataclass(frozen=True, slots=True)
class RankEstimate:
    """The numerical rank of a difference; None: it is not low, or rounding hides it.

    `sampled_rows` of `rows` were looked at. `energy` is the share of the squared difference,
    0 to 1, that the first `rank` directions hold.
    """

    rank: int | None
    sampled_rows: int
    rows: int
    energy: float


class RowSample:
    """Gathers sampled rows of a matrix's difference while the values stream by."""

    def __init__(self, rows: int, columns: int) -> None:
        fitting = max(GROUP_ROWS, _SAMPLE_BYTES // (4 * columns))
        wanted = min(rows, SAMPLED_ROWS, fitting)
        groups = max(1, wanted // GROUP_ROWS)
        taken = min(rows, wanted if groups == 1 else GROUP_ROWS)
        starts = np.linspace(0, rows - taken, groups).astype(np.int64) if groups > 1 else [0]
        self._rows, self._columns = rows, columns
        # Runs of elements as (first, last, place in the sample).
        self._runs = [
            (int(start) * columns, (int(start) + taken) * columns, number * taken * columns)
            for number, start in enumerate(starts)
        ]
        self._sample = np.zeros(groups * taken * columns, np.float32)

    def add(self, first: int, before: NDArray[np.floating], after: NDArray[np.floating]) -> None:
        """Take what lies in sampled rows from a block of elements that begins at `first`."""
        last = first + before.size
        for start, stop, place in self._runs:
            low, high = max(first, start), min(last, stop)
            if low < high:
                into = slice(place + low - start, place + high - start)
                part = slice(low - first, high - first)
                self._sample[into] = after[part] - before[part]

    def rank(self, noise: float) -> RankEstimate:
        """The rank of the difference, where rounding leaves errors of `noise` (rms) behind."""
        sample = self._sample.reshape(-1, self._columns)  # (sampled rows, columns)
        sample = np.where(np.isfinite(sample), sample, 0)
        height = len(sample)
        width = min(SKETCH_COLUMNS, self._columns, height)
        sketch = (sample @ _directions(self._columns, width)).astype(np.float64)  # (rows, width)
        # Squares of singular values in float64: a tenth of the time of a decomposition, and
        # exact enough for what float32 values leave to see.
        squares = np.linalg.eigvalsh(sketch.T @ sketch)[::-1]  # (width)
        values = np.sqrt(np.maximum(squares, 0))
        # The largest singular value of a matrix of independent errors: Bai-Yin.
        loudest = noise * self._columns**0.5 * (height**0.5 + width**0.5)
        found = _standing_out(values, _ABOVE_NOISE * loudest)
        energy = float((values[:found] ** 2).sum() / max((values**2).sum(), 1e-300))
        limit = min(LARGEST_RANK, width - width // 8, min(height, self._columns) // 2)
        changed = np.count_nonzero(sample.any(axis=1)) / height
        low = 0 < found <= limit and found < width and changed >= _CHANGED_ROWS
        return RankEstimate(found if low else None, height, self._rows, energy)


@lru_cache(maxsize=8)  # a model has few widths
def _directions(columns: int, width: int) -> NDArray[np.float32]:
    """Random directions, the same each time, so that equal inputs give equal answers."""
    return np.random.default_rng(0).standard_normal((columns, width), np.float32)


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
