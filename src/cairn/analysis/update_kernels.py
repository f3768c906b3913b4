"""Compiled loop over the values of two tensors: where the second moved away from the first."""

import numpy as np
from numpy.typing import NDArray

from cairn.compiled import compiled

BEFORE, CHANGE, LEFT_OUT, CHANGED = range(4)
"""Places in the totals: energies, pairs that are not finite, values that differ."""

Values = NDArray[np.floating]


@compiled()
def add_update(
    before: Values,
    after: Values,
    start: int,
    sides: tuple[int, int, int],
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
    kept: NDArray[np.float32],
    totals: NDArray[np.float64],
) -> None:
    """Add the squared changes of a run that begins at element `start` of a matrix.

    `sides`: length of a row, every how many rows one is kept, how many are kept. `rows` or
    `columns` of length 1 take all changes together; `kept` has a row for each one kept.
    """
    width, every, keep = sides
    row, column = start // width, start % width
    by_row, by_column = rows.size > 1, columns.size > 1
    for at in range(before.size):
        first = np.float64(before[at])
        change = np.float64(after[at]) - first
        if np.isfinite(change):
            square = change * change
            totals[BEFORE] += first * first
            totals[CHANGE] += square
            if square > 0:
                totals[CHANGED] += 1
            rows[row if by_row else 0] += square
            columns[column if by_column else 0] += square
            if row % every == 0 and row // every < keep:
                kept[row // every, column] = change
        else:
            totals[LEFT_OUT] += 1
        column += 1
        if column == width:
            column = 0
            row += 1
