"""Eigenvalues of small symmetric matrices without BLAS, whose threads would wait busily for more.

Householder reflections to three diagonals, then QL steps with implicit shifts: Golub, Van Loan:
Matrix Computations, 4th edition, 2013, sections 8.3.1 and 8.3.3.
"""

import numpy as np
from numpy.typing import NDArray

from cairn.compiled import compiled

Doubles = NDArray[np.float64]

_MAX_STEPS = 50
"""QL steps for one eigenvalue; two are usual."""


@compiled(frozenset({"reassoc", "contract"}))
def _product(first: Doubles, second: Doubles) -> float:
    total = 0.0
    for at in range(first.size):
        total += first[at] * second[at]
    return total


@compiled()
def _three_diagonals(matrix: Doubles, diagonal: Doubles, beside: Doubles) -> None:
    """Reduce a symmetric matrix, which is overwritten."""
    size = matrix.shape[0]
    for at in range(size - 2):
        below = matrix[at, at + 1 :].copy()
        norm = np.sqrt(_product(below, below))
        diagonal[at] = matrix[at, at]
        beside[at] = -norm if below[0] > 0 else norm
        if norm == 0:
            continue
        below[0] -= beside[at]
        scale = 2 / _product(below, below)
        rest = matrix[at + 1 :, at + 1 :]
        turned = np.empty(below.size)
        for row in range(below.size):
            turned[row] = scale * _product(rest[row], below)
        turned -= (scale / 2 * _product(turned, below)) * below
        for row in range(below.size):
            for column in range(below.size):
                rest[row, column] -= below[row] * turned[column] + turned[row] * below[column]
    if size > 1:
        diagonal[size - 2] = matrix[size - 2, size - 2]
        beside[size - 2] = matrix[size - 2, size - 1]
    diagonal[size - 1] = matrix[size - 1, size - 1]


@compiled()
def _step(diagonal: Doubles, beside: Doubles, first: int, last: int) -> None:
    """One QL step over the part from `first` to `last`."""
    slope = (diagonal[first + 1] - diagonal[first]) / (2 * beside[first])
    reach = np.sqrt(slope * slope + 1)
    shift = diagonal[last] - diagonal[first]
    shift += beside[first] / (slope + (reach if slope >= 0 else -reach))
    sine = 1.0
    cosine = 1.0
    taken = 0.0
    for at in range(last - 1, first - 1, -1):
        off = sine * beside[at]
        kept = cosine * beside[at]
        length = np.sqrt(off * off + shift * shift)
        beside[at + 1] = length
        if length == 0:
            diagonal[at + 1] -= taken
            beside[last] = 0
            return
        sine = off / length
        cosine = shift / length
        shift = diagonal[at + 1] - taken
        turn = (diagonal[at] - shift) * sine + 2 * cosine * kept
        taken = sine * turn
        diagonal[at + 1] = shift + taken
        shift = cosine * turn - kept
    diagonal[first] -= taken
    beside[first] = shift
    beside[last] = 0


@compiled()
def eigenvalues(matrix: Doubles) -> Doubles:
    """Those of a symmetric matrix of finite numbers, largest first; the matrix is overwritten.

    Off by some 1e-16 times the largest one's magnitude, times the side of the matrix.
    """
    size = matrix.shape[0]
    diagonal = np.zeros(size)
    beside = np.zeros(size)
    _three_diagonals(matrix, diagonal, beside)
    for first in range(size):
        for _ in range(_MAX_STEPS):
            last = first
            while last < size - 1:
                around = abs(diagonal[last]) + abs(diagonal[last + 1])
                if abs(beside[last]) + around == around:
                    break
                last += 1
            if last == first:
                break
            _step(diagonal, beside, first, last)
    return np.sort(diagonal)[::-1].copy()
