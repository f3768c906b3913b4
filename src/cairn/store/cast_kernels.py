"""Float types into each other, bit for bit the same everywhere: integer arithmetic only.

Round to nearest, ties to even; formats as in IEEE 754-2019 (binary16, binary32) and, for
bfloat16, the upper half of a binary32.
"""

from typing import Any

import numpy as np

from cairn.compiled import compiled

Array = np.ndarray[Any, Any]

_INFINITY = np.uint32(0x7F800000)
_MAGNITUDE = np.uint32(0x7FFFFFFF)


@compiled()
def widen_bf16(values: Array, out: Array) -> None:
    """bfloat16 bits (n,) to float32 bits (n,), exactly."""
    for i in range(values.size):
        out[i] = np.uint32(values[i]) << np.uint32(16)


@compiled()
def round_to_bf16(values: Array, out: Array) -> None:
    """float32 bits (n,) to bfloat16 bits (n,)."""
    for i in range(values.size):
        bits = np.uint32(values[i])
        odd = (bits >> np.uint32(16)) & np.uint32(1)
        rounded = (bits + np.uint32(0x7FFF) + odd) >> np.uint32(16)
        quiet = (bits >> np.uint32(16)) | np.uint32(0x40)
        out[i] = quiet if (bits & _MAGNITUDE) > _INFINITY else rounded


@compiled()
def widen_f16(values: Array, out: Array) -> None:
    """float16 bits (n,) to float32 bits (n,), exactly; NaNs become quiet."""
    for i in range(values.size):
        half = np.uint32(values[i])
        sign = (half & np.uint32(0x8000)) << np.uint32(16)
        exponent = (half >> np.uint32(10)) & np.uint32(31)
        fraction = half & np.uint32(0x3FF)
        if exponent == 31:
            quiet = np.uint32(0x400000) if fraction else np.uint32(0)
            out[i] = sign | _INFINITY | quiet | (fraction << np.uint32(13))
        elif exponent:
            out[i] = (
                sign | ((exponent + np.uint32(112)) << np.uint32(23)) | (fraction << np.uint32(13))
            )
        elif fraction:
            exponent = np.uint32(113)
            while not fraction & np.uint32(0x400):
                fraction <<= np.uint32(1)
                exponent -= np.uint32(1)
            fraction &= np.uint32(0x3FF)
            out[i] = sign | (exponent << np.uint32(23)) | (fraction << np.uint32(13))
        else:
            out[i] = sign


@compiled()
def round_to_f16(values: Array, out: Array) -> None:
    """float32 bits (n,) to float16 bits (n,)."""
    one = np.uint32(1)
    for i in range(values.size):
        bits = np.uint32(values[i])
        sign = (bits >> np.uint32(16)) & np.uint32(0x8000)
        size = bits & _MAGNITUDE
        if size > _INFINITY:
            half = np.uint32(0x7E00) | ((size >> np.uint32(13)) & np.uint32(0x3FF))
        elif size >= np.uint32(0x477FF000):  # 65520 and more round to infinity
            half = np.uint32(0x7C00)
        elif size >= np.uint32(0x38800000):  # 2**-14: normal in float16
            odd = (size >> np.uint32(13)) & one
            half = (size - np.uint32(0x38000000) + np.uint32(0xFFF) + odd) >> np.uint32(13)
        elif size > np.uint32(0x33000000):  # above 2**-25, half the smallest float16
            shift = np.uint32(126) - (size >> np.uint32(23))
            fraction = (size & np.uint32(0x7FFFFF)) | np.uint32(0x800000)
            half = fraction >> shift
            rest = fraction & ((one << shift) - one)
            middle = one << (shift - one)
            if rest > middle or (rest == middle and half & one):
                half += one
        else:
            half = np.uint32(0)
        out[i] = sign | half
