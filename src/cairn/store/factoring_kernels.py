"""The loop that takes one direction after the other out of a small matrix."""

from typing import Any

import numpy as np

from cairn.compiled import REASSOCIATE, compiled

Array = np.ndarray[Any, Any]


@compiled(REASSOCIATE)
def energies_left(rest: Array, energies: Array) -> int:
    """What is left of the sum of squares after 1, 2, ... directions; how many there are.

    Each time the largest column is the direction (Gram-Schmidt with pivoting). `rest` holds the
    columns (columns, height) in float64, finite and not squaring beyond its range, and is used
    up; `energies` (directions + 1) begins with what there was.
    """
    count, height = rest.shape
    squares = np.empty(count)
    direction = np.empty(height)
    for taken in range(energies.size):
        total, pivot = 0.0, 0
        for n in range(count):
            column, square = rest[n], 0.0
            for i in range(height):
                square += column[i] * column[i]
            squares[n] = square
            total += square
            if square > squares[pivot]:
                pivot = n
        energies[taken] = total
        if squares[pivot] == 0.0:
            return taken
        scale = 1.0 / np.sqrt(squares[pivot])
        for i in range(height):
            direction[i] = rest[pivot, i] * scale
        for n in range(count):
            column, along = rest[n], 0.0
            for i in range(height):
                along += column[i] * direction[i]
            for i in range(height):
                column[i] -= along * direction[i]
    return energies.size - 1
