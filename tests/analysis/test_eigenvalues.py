"""Eigenvalues: those NumPy finds by LAPACK."""

import numpy as np
import pytest

from cairn.analysis.eigenvalues import eigenvalues


@pytest.mark.parametrize("size", [1, 2, 3, 16, 80])
@pytest.mark.parametrize("rank", [0, 1, 8, 80])
def test_those_of_a_symmetric_matrix_are_those_of_lapack(size: int, rank: int) -> None:
    rows = np.random.default_rng(size).standard_normal((size, min(rank, size)))
    matrix = rows @ rows.T
    wanted = np.linalg.eigvalsh(matrix)[::-1]
    scale = max(1.0, abs(wanted).max())
    np.testing.assert_allclose(eigenvalues(matrix.copy()), wanted, rtol=0, atol=1e-13 * scale)


def test_a_diagonal_matrix_has_its_diagonal_largest_first() -> None:
    assert eigenvalues(np.diag([1.0, -3.0, 2.0])).tolist() == [2.0, 1.0, -3.0]
