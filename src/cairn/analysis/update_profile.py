"""The change of one tensor from a base, added up by row and column while the values stream by."""

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from cairn.analysis.concentration import leading_shares
from cairn.analysis.floats import Floats, is_decodable, parts_per_element
from cairn.analysis.update_kernels import BEFORE, CHANGE, CHANGED, LEFT_OUT, add_update
from cairn.compiled import read_only
from cairn.domain import DType

MAX_SIDE = 1 << 20
"""Rows or columns that are told one by one: 8 MiB of sums, and more than any vocabulary."""

MAX_KEPT_BYTES = 32 << 20
"""Changes kept as a matrix for their directions; of larger matrices evenly spread rows."""

MIN_SIDE = 4
"""Matrices with a shorter side than this have no directions worth telling apart."""


def has_update(before: DType, after: DType) -> bool:
    """Whether the change between values of these types can be told in real numbers."""
    return all(is_decodable(kind) and parts_per_element(kind) == 1 for kind in (before, after))


@dataclass(frozen=True, slots=True)
class Update:
    """The change of one tensor, as a matrix: the rows of a matrix, the filters of a convolution.

    `rows` and `columns` hold the sum of squared changes of each, the largest scaled to 1, or
    nothing where there are too many or a single one. `shares` are those of the leading singular
    values in the energy, largest first, over `seen_rows` rows; empty where the matrix has no two
    sides. `changed` counts elements with another value, `left_out` those not finite on a side.
    """

    shape: tuple[int, ...]
    elements: int
    changed: int
    left_out: int
    norm_before: float
    norm_change: float
    rows: NDArray[np.float32]
    columns: NDArray[np.float32]
    shares: tuple[float, ...] = ()
    seen_rows: int = 0

    @property
    def relative(self) -> float | None:
        """The norm of the change over the norm before; None where that was zero."""
        return self.norm_change / self.norm_before if self.norm_before else None


class UpdateProfile:
    """Takes in both tensors in equal runs, in row-major order."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        """`shape` is that of both: the first axis is the rows; a vector has rows of one element."""
        self._shape = shape
        self._rows, self._columns = (shape[0], prod(shape[1:])) if shape else (1, 1)
        self._row_energy = _sums(self._rows)
        self._column_energy = _sums(self._columns)
        most = max(1, MAX_KEPT_BYTES // 4 // max(1, self._columns))
        has_directions = min(self._rows, self._columns, most) >= MIN_SIDE
        self._every = -(-self._rows // most)
        kept = -(-self._rows // self._every) if has_directions else 0
        self._kept: NDArray[np.float32] = np.zeros((kept, self._columns if kept else 1), np.float32)
        self._totals = np.zeros(4)
        self._seen = 0

    def add(self, before: Floats, after: Floats) -> None:
        """The next values of both sides."""
        if before.dtype != after.dtype:
            before, after = before.astype(np.float64), after.astype(np.float64)
        with np.errstate(all="ignore"):
            add_update(
                read_only(before),
                read_only(after),
                self._seen,
                (self._columns, self._every, len(self._kept)),
                self._row_energy,
                self._column_energy,
                self._kept,
                self._totals,
            )
        self._seen += before.size

    def result(self) -> Update:
        """What all values together say."""
        energy = float(self._totals[CHANGE])
        shares: tuple[float, ...] = ()
        if len(self._kept) and np.isfinite(self._kept).all():
            shares = leading_shares(self._kept)
        return Update(
            shape=self._shape,
            elements=self._seen,
            changed=int(self._totals[CHANGED]),
            left_out=int(self._totals[LEFT_OUT]),
            norm_before=float(self._totals[BEFORE]) ** 0.5,
            norm_change=energy**0.5,
            rows=_told(self._row_energy),
            columns=_told(self._column_energy),
            shares=shares,
            seen_rows=len(self._kept),
        )


def _sums(side: int) -> NDArray[np.float64]:
    return np.zeros(side if 1 < side <= MAX_SIDE else 1)


def _told(energy: NDArray[np.float64]) -> NDArray[np.float32]:
    """Scaled so that the largest is 1: no float32 overflows, and only shares matter."""
    told = energy if energy.size > 1 else energy[:0]
    largest = float(np.max(told, initial=0.0))
    return (told / largest if largest else told).astype(np.float32)
