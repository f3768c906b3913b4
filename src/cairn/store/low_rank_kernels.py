"""The loops that add a product of two thin matrices to values, the same bits everywhere.

A product of two whole numbers below 2^26 is exact in float64, so it makes no difference whether
a processor rounds it before it is added to a sum or fuses both steps: only the order of the
sum counts, and that is fixed.
"""

from typing import Any

import numpy as np

from cairn.compiled import compiled

Array = np.ndarray[Any, Any]


@compiled()
def product(left: Array, right: Array, first: int, out: Array) -> None:
    """Elements of `left @ right` in row-major order, from column `first` of the first row on.

    `left` (rows, n) is float64 and holds whole numbers times powers of two, `right` (n, columns)
    whole numbers, `out` is float32. Rows cover `out`.
    """
    columns = right.shape[1]
    sums = np.empty(columns, np.float64)
    row, done = 0, 0
    while done < out.size:
        taken = min(columns - first, out.size - done)
        for i in range(taken):
            sums[i] = 0.0
        for n in range(right.shape[0]):
            weight = left[row, n]
            for i in range(taken):
                sums[i] += weight * np.float64(right[n, first + i])
        for i in range(taken):
            out[done + i] = np.float32(sums[i])
        done += taken
        row += 1
        first = 0


@compiled()
def add(values: Array, update: Array, out: Array) -> None:
    """`values + update` in float32 (n,); the value alone where that is not finite.

    So that no NaN is made: which one an operation makes depends on the processor.
    """
    for i in range(values.size):
        total = values[i] + update[i]
        out[i] = total if abs(total) <= np.float32(3.4028235e38) else values[i]
