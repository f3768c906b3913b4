"""In which other orders of its axes a tensor may be stored elsewhere.

Keras, TensorFlow and Flax keep the inputs of a layer first, PyTorch the outputs; convolutions have
four orders in use; GGUF interleaves the rows of Llama's queries and keys. Axes of length 1 do not
count.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from math import prod

import numpy as np
import numpy.typing as npt

# PyTorch's order of a convolution (outputs, inputs, height, width) from that of Keras and Flax,
# and the other way; channels last from first, and the other way.
_CONVOLUTIONS = ((3, 2, 0, 1), (2, 3, 1, 0), (0, 2, 3, 1), (0, 3, 1, 2))

# `permute` in https://github.com/ggml-org/llama.cpp/blob/master/convert_hf_to_gguf.py: of each
# head's rows, those of the first and of the second half take turns. Heads of these sizes are tried,
# in matrices that are large enough for the trials to be little work beside coding them.
_HEAD_ROWS = (64, 128, 80, 96, 256, 32)
_MIN_ROTARY_ELEMENTS = 1 << 17


@dataclass(frozen=True, slots=True)
class Arrangement:
    """The lengths of the axes of a base, and which of them each axis of the result is."""

    lengths: tuple[int, ...]
    axes: tuple[int, ...]

    @classmethod
    def of(cls, shape: tuple[int, ...], axes: tuple[int, ...]) -> "Arrangement":
        """That which gives a result of this shape."""
        lengths = dict(zip(axes, shape, strict=True))
        return cls(tuple(lengths[axis] for axis in range(len(shape))), axes)

    @property
    def keeps_first(self) -> bool:
        """Whether runs along the first axis stay where they are."""
        return self.axes[0] == 0

    def places(self, base_places: list[int]) -> npt.NDArray[np.int64]:
        """Where in the result the elements lie that are at these places of the base (n,)."""
        at = np.array(np.unravel_index(np.array(base_places, np.int64), self.lengths))  # (axes, n)
        shape = tuple(self.lengths[axis] for axis in self.axes)
        return np.asarray(np.ravel_multi_index(tuple(at[list(self.axes)]), shape), np.int64)


def arrangements(shape: tuple[int, ...]) -> Iterator[Arrangement]:
    """Those in which a tensor of this shape may be stored, the likeliest first."""
    lengths = tuple(length for length in shape if length != 1)
    if len(lengths) in (2, 3):
        every = permutations(range(len(lengths)))
        next(every)  # as it is
        for axes in every:
            yield Arrangement.of(lengths, axes)
    if len(lengths) == 4:
        for axes in _CONVOLUTIONS:
            yield Arrangement.of(lengths, axes)
    if len(lengths) == 2 and prod(lengths) >= _MIN_ROTARY_ELEMENTS:
        yield from _rotary(*lengths)


def _rotary(rows: int, columns: int) -> Iterator[Arrangement]:
    """The rows of each head in two halves, from rows that take turns, and the other way."""
    for head in _HEAD_ROWS:
        if rows % head == 0 and rows >= head:
            half = head // 2
            yield Arrangement.of((rows // head, half, 2, columns), (0, 2, 1, 3))
            yield Arrangement.of((rows // head, 2, half, columns), (0, 2, 1, 3))
