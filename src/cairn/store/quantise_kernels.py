"""ggml's reference quantisation of float32 to blocks of 32, bit for bit the same everywhere.

Each step is one float32 operation of IEEE 754 in the order of the reference, which is
`quantize_row_*_ref` in https://github.com/ggml-org/ggml/blob/master/src/ggml-quants.c. What is
undefined there is defined here: a code that is no number or out of its range is 0.

`values` are (n, 32) float32, `scales` and `minima` (n,) float32 still to be rounded to float16,
`codes` (n, 32) bytes still to be packed.
"""

from typing import Any

import numpy as np

from cairn.compiled import compiled

Array = np.ndarray[Any, Any]

_ZERO = np.float32(0)
_HALF = np.float32(0.5)
_ONE = np.float32(1)


@compiled()
def signed_codes(values: Array, scales: Array, codes: Array) -> None:
    """Q8_0: the largest magnitude becomes 127; halves are rounded away from zero."""
    for block in range(values.shape[0]):
        largest = _ZERO
        for i in range(32):
            size = abs(values[block, i])
            if size > largest:
                largest = size
        scale = largest / np.float32(127)
        inverse = _ONE / scale if scale != _ZERO else _ZERO
        scales[block] = scale
        for i in range(32):
            scaled = values[block, i] * inverse
            size = abs(scaled)
            code = np.int32(0)
            if size < np.float32(128):
                code = np.int32(size)
                if size - np.float32(code) >= _HALF:
                    code += np.int32(1)
            codes[block, i] = np.uint8((code if scaled > _ZERO else -code) & 255)


@compiled()
def centred_codes(values: Array, middle: int, scales: Array, codes: Array) -> None:
    """Q4_0 and Q5_0: the value of largest magnitude becomes code 0, a zero code `middle`."""
    centre = np.float32(middle)
    for block in range(values.shape[0]):
        size, farthest = _ZERO, _ZERO
        for i in range(32):
            value = values[block, i]
            if abs(value) > size:
                size, farthest = abs(value), value
        scale = farthest / -centre
        inverse = _ONE / scale if scale != _ZERO else _ZERO
        scales[block] = scale
        for i in range(32):
            scaled = values[block, i] * inverse
            codes[block, i] = _code(scaled + (centre + _HALF), 2 * middle - 1)


@compiled()
def ranged_codes(values: Array, most: int, scales: Array, minima: Array, codes: Array) -> None:
    """Q4_1 and Q5_1: the lowest value becomes code 0, the highest code `most`."""
    for block in range(values.shape[0]):
        low = high = values[block, 0]
        for i in range(1, 32):
            value = values[block, i]
            if value < low:
                low = value
            if value > high:
                high = value
        scale = (high - low) / np.float32(most)
        inverse = _ONE / scale if scale != _ZERO else _ZERO
        scales[block] = scale
        minima[block] = low
        for i in range(32):
            scaled = (values[block, i] - low) * inverse
            codes[block, i] = _code(scaled + _HALF, most)


@compiled()
def _code(shifted: Any, most: int) -> Any:
    """The whole number below; 0 for what no byte holds."""
    if not (shifted >= _ZERO and shifted < np.float32(256)):
        return np.uint8(0)
    below = np.int32(shifted)
    return np.uint8(below if below < most else most)


@compiled()
def pack_low_bits(codes: Array, blocks: Array, at: int) -> None:
    """The low four bits: those of the first 16 codes in the low halves of 16 bytes."""
    for block in range(codes.shape[0]):
        for i in range(16):
            low, high = codes[block, i] & 15, codes[block, i + 16] & 15
            blocks[block, at + i] = np.uint8(low | (high << 4))


@compiled()
def pack_fifth_bits(codes: Array, blocks: Array, at: int) -> None:
    """The fifth bits of all codes, the first in the lowest bit of four bytes."""
    for block in range(codes.shape[0]):
        for byte in range(4):
            bits = 0
            for i in range(8):
                bits |= ((codes[block, 8 * byte + i] >> 4) & 1) << i
            blocks[block, at + byte] = np.uint8(bits)
