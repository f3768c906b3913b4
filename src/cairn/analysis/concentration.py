"""How much of a matrix's energy lies in its first few directions: its largest singular values.

Small matrices exactly, from the eigenvalues of their Gram matrix; others by a randomised range
finder with power iterations (Halko, Martinsson, Tropp: Finding structure with randomness, 2011,
algorithm 4.4, https://arxiv.org/abs/0909.4061). Shares found so are never too large; what they
lack is below a hundredth where a direction stands out, which `tests/analysis` checks.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

DIRECTIONS = 8
"""Singular values told: a single trigger adds one or two directions."""

EXACT_SIDE = 128
"""Shorter side up to which all singular values are computed."""

_OVERSAMPLED = 8
_POWERS = 2


def leading_shares(matrix: NDArray[np.float32]) -> tuple[float, ...]:
    """Squares of the largest `DIRECTIONS` singular values over the sum of all, largest first.

    `matrix` is (rows, columns) and finite. Fewer where it has fewer; none where all is zero.
    """
    largest = float(np.max(np.abs(matrix), initial=0.0))
    if not largest:
        return ()
    scaled = matrix / np.float32(largest)
    tall = scaled if scaled.shape[0] >= scaled.shape[1] else scaled.T  # (long, short)
    total = float(np.sum(np.square(tall), dtype=np.float64))
    if tall.shape[1] <= EXACT_SIDE:
        squares: NDArray[Any] = np.linalg.eigvalsh((tall.T @ tall).astype(np.float64))[::-1]
    else:
        squares = np.linalg.svd(_reduced(tall), compute_uv=False) ** 2
    shares = np.clip(squares[:DIRECTIONS] / total, 0.0, 1.0)
    return tuple(float(share) for share in shares)


def _reduced(tall: NDArray[np.float32]) -> NDArray[np.float64]:
    """A thin matrix, (directions, short), with the leading singular values of the tall one."""
    width = DIRECTIONS + _OVERSAMPLED
    start = np.random.default_rng(0).standard_normal((tall.shape[1], width), np.float32)
    basis = np.linalg.qr(tall @ start)[0]
    for _ in range(_POWERS):
        basis = np.linalg.qr(tall @ np.linalg.qr(tall.T @ basis)[0])[0]
    return (basis.T @ tall).astype(np.float64)
