"""Compiled loops that project rows of a matrix onto few columns while its values stream by."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cairn.compiled import compiled

Array = NDArray[Any]
Sketch = tuple[NDArray[np.int64], int, NDArray[np.float32], NDArray[np.float64]]
"""What `add_to_sketch` is told: starts of groups of rows, columns, weights, the sketch itself."""

NO_SKETCH: Sketch = (np.zeros(0, np.int64), 1, np.zeros((2, 1), np.float32), np.zeros((1, 1)))
"""No rows are sampled."""


@compiled()
def add_to_sketch(values: Array, first: int, arguments: Sketch) -> None:
    """Project what lies in sampled rows from the elements that begin at `first`.

    Groups of sampled rows, all of as many, are known by the elements they begin at; the sketch
    has a row for each sampled row. Without groups nothing is done.
    """
    groups, columns, weights, sketch = arguments
    if not groups.size:
        return
    rows = sketch.shape[0] // groups.size
    for number in range(groups.size):
        start = groups[number]
        at = max(first, start)
        stop = min(first + values.size, start + rows * columns)
        while at < stop:
            row = (at - start) // columns
            column = (at - start) % columns
            end = min(stop, at + columns - column)
            part = values[at - first : end - first]
            _project(part, column, weights, sketch[number * rows + row])
            at = end


@compiled()
def _project(
    values: Array, column: int, weights: NDArray[np.float32], sketch: NDArray[np.float64]
) -> None:
    """Add a part of a row that begins at `column` to the row's sketch.

    Columns come in stripes as wide as the sketch. Each counts at its place in the stripe and,
    by the second weights, at another one that is further the further the stripe: so two columns
    that meet at one place rarely meet at the other.
    """
    width = sketch.size
    at = 0
    while at < values.size:
        place = (column + at) % width
        turned = (place + 1 + (column + at) // width % (width - 1)) % width
        known = (column + at) % weights.shape[1]
        run = min(width - place, weights.shape[1] - known, values.size - at)
        before_end = min(run, width - turned)
        part = values[at : at + run]
        _add_weighted(part, weights[0, known:], sketch[place:])
        _add_weighted(part[:before_end], weights[1, known:], sketch[turned:])
        _add_weighted(part[before_end:], weights[1, known + before_end :], sketch)
        at += run


@compiled(frozenset({"contract"}))
def _add_weighted(values: Array, weights: Array, into: Array) -> None:
    for at in range(values.size):
        into[at] += np.float64(weights[at]) * np.float64(values[at])


@compiled(frozenset({"reassoc", "contract"}))
def _product(first: Array, second: Array) -> float:
    total = 0.0
    for at in range(first.size):
        total += first[at] * second[at]
    return total


@compiled()
def gram(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """The products of every two rows: `rows @ rows.T`, which must be finite.

    BLAS would use its own threads, which then wait busily for more and take the processors from
    those that read.
    """
    products = np.empty((rows.shape[0], rows.shape[0]))
    for one in range(rows.shape[0]):
        for other in range(one + 1):
            products[one, other] = _product(rows[one], rows[other])
            products[other, one] = products[one, other]
    return products


@compiled()
def exceeds(products: NDArray[np.float64], least: float) -> bool:
    """Whether all eigenvalues of a symmetric matrix exceed `least`.

    So they do exactly where the matrix without `least` on its diagonal has a Cholesky
    decomposition, which takes a tenth of the time of the eigenvalues.
    """
    size = products.shape[0]
    lower = np.zeros((size, size))
    for row in range(size):
        for column in range(row):
            known = _product(lower[row, :column], lower[column, :column])
            lower[row, column] = (products[row, column] - known) / lower[column, column]
        left = products[row, row] - least - _product(lower[row, :row], lower[row, :row])
        if not left > 0:
            return False
        lower[row, row] = np.sqrt(left)
    return True
