"""The rank that a matrix has in effect, from its singular values.

They are the roots of the eigenvalues of the smaller Gram matrix, in doubles: singular values
below some 1e-8 of the largest drown in rounding, which changes both ranks by less than that.
"""

from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cairn.analysis.floats import Floats, is_floating, parts_per_element
from cairn.domain import DType, TensorInfo
from cairn.domain.statistics import Spectrum

MAX_SIDE = 2048
"""Longest shorter side: eigenvalues of such a Gram matrix take some 2 s of one core."""

QUICK_SIDE = 256
"""Longest shorter side where the time is a few times that of the other statistics."""

MAX_BYTES = 64 << 20
"""Largest matrix that is kept in memory whole."""

_STEP_ELEMENTS = 1 << 18  # 2 MiB of doubles at a time


@dataclass
class Matrix:
    """A matrix that is collected block by block: a convolution's filters are rows."""

    rows: int
    columns: int
    _blocks: list[Floats] = field(default_factory=list)

    def add(self, values: Floats) -> None:
        """Take in the next values in row-major order."""
        self._blocks.append(values.copy())

    def spectrum(self) -> Spectrum | str:
        """The ranks, or the reason why there are none."""
        values = np.concatenate(self._blocks, dtype=self._blocks[0].dtype)
        values = values.reshape(self.rows, self.columns)
        largest = float(np.max(np.abs(values)))
        if not np.isfinite(largest):
            return "not all values are finite"
        if not largest:
            return "all values are zero"
        eigenvalues = np.linalg.eigvalsh(_gram(values, largest))
        singular = np.sqrt(np.maximum(eigenvalues, 0))
        shares = singular[singular > 0] / singular.sum()
        return Spectrum(
            effective_rank=float(np.exp(-np.sum(shares * np.log(shares)))),
            stable_rank=float(np.sum(singular**2) / singular.max() ** 2),
            full_rank=min(self.rows, self.columns),
        )


def matrix_for(tensor: TensorInfo, max_side: int) -> Matrix | str:
    """What collects the tensor's values for its spectrum, or the reason why nothing should."""
    if not is_floating(tensor.dtype) or parts_per_element(tensor.dtype) > 1:
        return "not of real numbers"
    item_bytes = 8 if tensor.dtype is DType.F64 else 4
    rows, columns = (*tensor.shape[:1], prod(tensor.shape[1:])) if tensor.shape else (1, 1)
    if min(rows, columns) < 2:
        return "not a matrix"
    if min(rows, columns) > max_side:
        return f"its shorter side is longer than {max_side}"
    if tensor.elements * item_bytes > MAX_BYTES:
        return f"larger than {MAX_BYTES >> 20} MiB"
    return Matrix(rows, columns)


def _gram(values: NDArray[Any], scale: float) -> NDArray[Any]:
    """The product with its own transpose, of the shorter side, divided by `scale` squared."""
    tall = values if values.shape[0] >= values.shape[1] else values.T  # (long, short)
    side = tall.shape[1]
    total = np.zeros((side, side))
    step = max(1, _STEP_ELEMENTS // side)
    for start in range(0, tall.shape[0], step):
        part = tall[start : start + step].astype(np.float64) / scale
        total += part.T @ part
    return total
