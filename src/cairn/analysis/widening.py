"""Floats of 16 bits as floats of 32: exact, in vector lanes, without a table.

A BF16 is the upper half of a float32. An IEEE half has 5 bits of exponent and 10 of mantissa
(IEEE 754-2019, table 3.5): moved to the places of a float32's they mean a number 2^112 times too
small, subnormal ones too, and a product with a power of two is exact. Infinities and NaN have all
bits of the exponent set and get those that a float32 has more.
"""

import numpy as np
from numpy.typing import NDArray

from cairn.compiled import compiled

BRAIN_EXPONENT_BITS, HALF_EXPONENT_BITS = 8, 5
"""What tells the two types apart."""

_SIGN = np.uint32(0x8000)
_MAGNITUDE = np.uint32(0x7FFF)
_SPECIAL = np.uint32(0x7C00 << 13)  # the least magnitude, moved, that is no number
_EXPONENT = np.uint32(0x7F80_0000)
_BETWEEN_BIASES = np.float32(2.0 ** (127 - 15))

Words = NDArray[np.uint16]
Singles = NDArray[np.float32]


@compiled()
def widen_brain(words: Words, values: Singles) -> None:
    """Write what BF16 words stand for."""
    for at in range(words.size):
        values[at] = np.uint32(np.uint32(words[at]) << np.uint32(16)).view(np.float32)


@compiled()
def widen_half(words: Words, values: Singles) -> None:
    """Write what the words of IEEE halves stand for; a NaN keeps its bits."""
    for at in range(words.size):
        word = np.uint32(words[at])
        moved = np.uint32((word & _MAGNITUDE) << np.uint32(13))
        scaled = np.float32(np.uint32(moved).view(np.float32) * _BETWEEN_BIASES)
        filled = _EXPONENT if moved >= _SPECIAL else np.uint32(0)
        bits = np.float32(scaled).view(np.uint32) | filled | ((word & _SIGN) << np.uint32(16))
        values[at] = np.uint32(bits).view(np.float32)
