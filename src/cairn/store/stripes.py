"""Finds of which columns of stored matrices a part is put together: shards by columns, fused ones.

Landmarks that two matrices share lie in different rows of both, but all as many rows and as many
columns apart. What they have in common is then a rectangle, as far as both reach.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

import numpy as np
import numpy.typing as npt

from cairn.store.base_tensor import BaseTensor
from cairn.store.bases import MAX_BASES, Base
from cairn.store.landmark_index import Marked, Matches
from cairn.store.landmarks import WORD_BYTES
from cairn.store.predictors.columns import Stripe, columns_params

# How many rectangles are looked at; a row of sixteen shards has as many.
MAX_TRIED = 32

# Where less of a part is found, the rest would not pay.
MIN_SHARE = 0.5

TensorOf = Callable[[int], tuple[Marked, BaseTensor] | None]


@dataclass(frozen=True, slots=True)
class Grid:
    """A part in its matrix: bytes of a row, of the whole, and where the part lies."""

    row_bytes: int
    size_bytes: int
    start: int
    stop: int

    @property
    def first_row(self) -> int:
        """The row that the part begins in."""
        return self.start // self.row_bytes

    @property
    def rows(self) -> int:
        """How many rows the part has bytes of."""
        return ceil(self.stop / self.row_bytes) - self.first_row


@dataclass(frozen=True, slots=True)
class Striped:
    """Parameters and bases of the predictor `columns`."""

    params: bytes
    bases: tuple[Base, ...]


@dataclass(frozen=True, slots=True)
class _Distance:
    """By how many rows and bytes in them a tensor's matrix is off."""

    tensor: int
    rows: int
    columns: int


def striped(
    grid: Grid, matches: Matches, row_bytes_of: Callable[[int], int], tensor_of: TensorOf, most: int
) -> Striped | None:
    """What makes a part; None if too little of it is found, or `most` bytes do not suffice."""
    stripes: list[Stripe] = []
    bases: list[Base] = []
    for distance in _distances(grid, matches, row_bytes_of):
        found = tensor_of(distance.tensor)
        if found is None:
            continue
        marked, tensor = found
        stripe = _stripe(grid, marked, distance)
        if stripe is None or any(_overlap(stripe, other) for other in stripes):
            continue
        first = (grid.first_row + stripe.row + distance.rows) * stripe.base_row_bytes
        more = tensor.bases(first, first + stripe.base_bytes)
        if more is None or len(bases) + len(more) > MAX_BASES or stripe.base_bytes > most:
            continue
        most -= stripe.base_bytes
        stripes.append(stripe)
        bases += more
    covered = sum(stripe.rows * stripe.width for stripe in stripes)
    if covered < MIN_SHARE * (grid.stop - grid.start):
        return None
    first = grid.start - grid.first_row * grid.row_bytes
    return Striped(columns_params(grid.row_bytes, first, stripes), tuple(bases))


def explained_by_columns(grid: Grid, matches: Matches, row_bytes_of: Callable[[int], int]) -> int:
    """How many landmarks agree with the largest rectangle; 0 if the part is of no matrix."""
    if not grid.row_bytes:
        return 0
    _, counts = _counted(grid, matches, row_bytes_of)
    return int(counts.max(initial=0))


def _distances(grid: Grid, matches: Matches, row_bytes_of: Callable[[int], int]) -> list[_Distance]:
    """Those that most landmarks agree with first."""
    found, counts = _counted(grid, matches, row_bytes_of)
    order = np.argsort(-counts, kind="stable")[:MAX_TRIED]
    return [_Distance(*found[number].tolist()) for number in order]


def _counted(
    grid: Grid, matches: Matches, row_bytes_of: Callable[[int], int]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Distances (n, 3) and how many landmarks agree with each (n,)."""
    tensors, at = np.unique(matches.tensors, return_inverse=True)
    theirs = np.array([row_bytes_of(int(number)) for number in tensors], np.int64)[at]
    matrix = theirs > 0
    row, column = np.divmod(matches.here[matrix] * WORD_BYTES, grid.row_bytes)
    base_row, base_column = np.divmod(matches.there[matrix] * WORD_BYTES, theirs[matrix])
    distances = np.stack([matches.tensors[matrix], base_row - row, base_column - column], axis=1)
    return np.unique(distances, axis=0, return_counts=True)


def _stripe(grid: Grid, marked: Marked, distance: _Distance) -> Stripe | None:
    """What of a matrix lies in the part's rows."""
    theirs = marked.row_bytes
    low = max(grid.first_row, -distance.rows)
    high = min(grid.first_row + grid.rows, marked.span.size_bytes // theirs - distance.rows)
    left, right = max(0, -distance.columns), min(grid.row_bytes, theirs - distance.columns)
    if low >= high or left >= right:
        return None
    return Stripe(
        low - grid.first_row, high - low, left, right - left, theirs, left + distance.columns
    )


def _overlap(one: Stripe, other: Stripe) -> bool:
    return (
        one.row < other.row + other.rows
        and other.row < one.row + one.rows
        and one.column < other.column + other.width
        and other.column < one.column + one.width
    )
