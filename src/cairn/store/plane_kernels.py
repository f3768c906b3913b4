"""The loops between elements and their byte planes, lowest byte first.

Elements whose bits are `rotated` (1, else 0) have their sign at the bottom. Elements are
unsigned, arrays contiguous and equally long. The shifts are written out, one loop for each
width: with shifts by variables the compiler makes loops of a third of the speed.
"""

from typing import Any

import numpy as np

from cairn.compiled import compiled

Array = np.ndarray[Any, Any]


@compiled()
def split_2(elements: Array, rotated: int, low: Array, high: Array) -> None:
    """Elements (n,) to two planes (n,)."""
    if rotated:
        for i in range(elements.size):
            element = np.uint32(elements[i])
            low[i] = element << 1 | element >> 15
            high[i] = element >> 7
    else:
        for i in range(elements.size):
            low[i] = elements[i]
            high[i] = elements[i] >> 8


@compiled()
def split_4(
    elements: Array,
    rotated: int,
    first: Array,
    second: Array,
    third: Array,
    last: Array,
) -> None:
    """Elements (n,) to four planes (n,)."""
    if rotated:
        for i in range(elements.size):
            first[i] = elements[i] << 1 | elements[i] >> 31
            second[i] = elements[i] >> 7
            third[i] = elements[i] >> 15
            last[i] = elements[i] >> 23
    else:
        for i in range(elements.size):
            first[i] = elements[i]
            second[i] = elements[i] >> 8
            third[i] = elements[i] >> 16
            last[i] = elements[i] >> 24


@compiled()
def join_2(low: Array, high: Array, rotated: int, out: Array) -> None:
    """Two planes (n,) to elements (n,)."""
    if rotated:
        for i in range(out.size):
            element = np.uint32(low[i]) | np.uint32(high[i]) << 8
            out[i] = element >> 1 | element << 15
    else:
        for i in range(out.size):
            out[i] = np.uint32(low[i]) | np.uint32(high[i]) << 8


@compiled()
def join_4(
    first: Array,
    second: Array,
    third: Array,
    last: Array,
    rotated: int,
    out: Array,
) -> None:
    """Four planes (n,) to elements (n,)."""
    if rotated:
        for i in range(out.size):
            low = np.uint32(first[i]) | np.uint32(second[i]) << 8
            element = low | np.uint32(third[i]) << 16 | np.uint32(last[i]) << 24
            out[i] = element >> 1 | element << 31
    else:
        for i in range(out.size):
            low = np.uint32(first[i]) | np.uint32(second[i]) << 8
            out[i] = low | np.uint32(third[i]) << 16 | np.uint32(last[i]) << 24


@compiled()
def split_8(elements: Array, rotated: int, planes: Array) -> None:
    """Elements (n,) to planes (8, n)."""
    for number in range(8):
        plane = planes[number]
        down = 8 * number - rotated
        for i in range(elements.size):
            high = elements[i] >> 63 if down < 0 else np.uint64(0)
            plane[i] = (elements[i] << 1 if down < 0 else elements[i] >> down) | high


@compiled()
def join_8(planes: Array, rotated: int, out: Array) -> None:
    """Planes (8, n) to elements (n,)."""
    for i in range(out.size):
        element = np.uint64(0)
        for number in range(8):
            element |= np.uint64(planes[number, i]) << np.uint64(8 * number)
        out[i] = element >> 1 | element << 63 if rotated else element
