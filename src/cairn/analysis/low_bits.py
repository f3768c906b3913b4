"""What the lowest mantissa bits of floats are like: random, zero, or patterned.

The low bits of trained weights look random, and casts from a narrower type leave zeros. Readable
bytes hidden bit by bit in the lowest bits, or byte by byte in the low bytes (Wang, Liu, Cui:
EvilModel, 2021, https://arxiv.org/abs/2107.08590), are neither: eight lowest bits in a row, or the
low byte, taken as a byte, are then far from equally frequent. Encrypted or compressed bytes look
random too, and in weights that were not cast no test of these bits can tell them from the rest.

Chi-square over the 256 values of a byte, window by window: of bytes made of the lowest bits of
eight elements in a row (which order makes no difference), and where the mantissa has 16 bits or
more also of its low byte.
"""

from collections import Counter
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cairn.domain import DType

WINDOW = 1 << 16
"""Elements of one window: 8,192 bytes of lowest bits, 32 expected of each value."""

LEAST = 1 << 14
"""A last window shorter than this is not judged: fewer than 8 bytes expected of each value."""

PATTERNED = 1.5
"""Chi-square above its mean, for each byte, beyond which bits hold something that can be read.

A text has some 14. Fresh layers have up to 0.9: numbers scaled by one constant do not reach every
pattern of the low bits, and that is no message. Chance alone leaves less than 0.1.
"""

MANTISSA_BITS = {DType.F16: 10, DType.BF16: 7, DType.F32: 23, DType.F64: 52}

_ZERO_BYTES = 0.008  # a random low byte is zero once in 256 times, 0.0039
_ONES = 0.02
_FEW = 8  # elements to each distinct value from which a window is of few values
_SEEN = 4096
_DEGREES = 255


class Window(Enum):
    """What the low bits of a run of values are like.

    Cast: those of every value are zero. Coarse: those of many are, or there are few values.
    """

    RANDOM = "random"
    CAST = "cast"
    COARSE = "coarse"
    PATTERNED = "patterned"


@dataclass(frozen=True, slots=True)
class LowBits:
    """How many windows of a tensor are like what, and mantissa bits that are zero in all values."""

    windows: dict[Window, int]
    zero_bits: int

    @property
    def is_mixed(self) -> bool:
        """Whether windows differ in kind: values of several origins in one tensor."""
        return len(self.windows) > 1

    @property
    def is_patterned(self) -> bool:
        """Whether the low bits of some window are neither random nor zero."""
        return bool(self.windows.get(Window.PATTERNED))


class LowBitCounts:
    """Looks at values window by window."""

    def __init__(self, dtype: DType) -> None:
        """`dtype` is one of `MANTISSA_BITS`."""
        self._mantissa = MANTISSA_BITS[dtype]
        self._word = np.dtype(f"<u{dtype.block_bytes}")
        self._held: list[NDArray[Any]] = []
        self._held_elements = 0
        self._any_bits = 0
        self._windows: Counter[Window] = Counter()

    def add(self, block: bytes | memoryview) -> None:
        """The next whole elements, as little-endian bytes."""
        words = np.frombuffer(block, self._word)
        self._any_bits |= int(np.bitwise_or.reduce(words, initial=0))
        while words.size:
            room = WINDOW - self._held_elements
            self._held.append(words[:room].copy())
            self._held_elements += self._held[-1].size
            words = words[room:]
            if self._held_elements == WINDOW:
                self._close()

    def result(self) -> LowBits:
        """What all windows say."""
        if self._held_elements >= LEAST:
            self._close()
        bits = self._any_bits & ((1 << self._mantissa) - 1)
        zero = self._mantissa if not bits else (bits & -bits).bit_length() - 1
        return LowBits(dict(self._windows), zero)

    def _close(self) -> None:
        self._windows[window_of(np.concatenate(self._held), self._mantissa)] += 1
        self._held, self._held_elements = [], 0


def window_of(words: NDArray[Any], mantissa_bits: int) -> Window:
    """What the low bits of some words are like; `mantissa_bits` is what their type has."""
    lowest = (words & 1).astype(np.uint8)
    ones = np.count_nonzero(lowest)
    if mantissa_bits < 16:
        if ones < _ONES * words.size:
            return Window.COARSE if ones else Window.CAST
        return Window.PATTERNED if _excess(np.packbits(lowest)) > PATTERNED else Window.RANDOM
    low_bytes = (words & 255).astype(np.uint8)
    zero = np.count_nonzero(low_bytes == 0)
    if zero == words.size:
        return Window.CAST
    if zero > _ZERO_BYTES * words.size or ones < _ONES * words.size:
        return Window.COARSE
    if np.unique(words[:_SEEN]).size * _FEW <= min(words.size, _SEEN):
        return Window.COARSE
    excess = max(_excess(np.packbits(lowest)), _excess(low_bytes))
    return Window.PATTERNED if excess > PATTERNED else Window.RANDOM


def _excess(found: NDArray[np.uint8]) -> float:
    """Chi-square against equally frequent bytes, above its mean, for each byte."""
    counts = np.bincount(found, minlength=256)
    expected = found.size / 256
    chi_square = float(np.sum((counts - expected) ** 2) / expected)
    return (chi_square - _DEGREES) / found.size
