"""Rows of a tensor that hold nothing but zeros: neurons or filters that say nothing."""

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cairn.analysis import kernels
from cairn.domain import TensorInfo


class DeadRows:
    """Counts rows along the first axis in which no word has a bit of the mask."""

    def __init__(self, rows: int, row_words: int, mask: int, word: np.dtype[Any]) -> None:
        self.rows = rows
        self._row_words = row_words
        self._mask = word.type(mask)
        self._state = np.zeros(3, np.int64)

    def add(self, words: NDArray[Any]) -> None:
        """Take in the next words in row-major order."""
        kernels.count_dead_rows(words, self._mask, self._row_words, self._state)

    @property
    def dead(self) -> int:
        """Rows of zeros so far."""
        return int(self._state[0])


def rows_of(tensor: TensorInfo) -> tuple[int, int] | None:
    """Rows and elements of one, None where there are none: a vector is no column of rows."""
    if len(tensor.shape) < 2:
        return None
    elements = prod(tensor.shape[1:])
    return (tensor.shape[0], elements) if tensor.shape[0] and elements > 1 else None
