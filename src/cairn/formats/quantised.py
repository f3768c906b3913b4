"""What the blocks of ggml's quantised types hold, as float32.

A block is a C struct of codes and scales; an element is its code, maybe looked up or shifted,
times the scale of its sub-block, maybe minus a minimum. Codes narrower than a byte are packed
in runs: the lowest bits of every byte of the run first, then the next higher bits.

Source of the layouts: the structs in https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h;
results equal those of `gguf.quants`. The types that look up codebooks (IQ1, IQ2
and IQ3) are left out: no specification states the books.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cairn.domain import DType
from cairn.errors import MalformedError, UnknownFormatError

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

_BLOCKS_AT_ONCE = 4096  # the intermediate arrays of a million elements stay in a few MiB

# Levels of the four-bit codes in IQ4_NL and IQ4_XS (`kvalues_iq4nl` in ggml-common.h).
_IQ4_LEVELS = np.array(
    (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113), np.float32
)
# The numbers of E2M1 doubled, so that they are whole (OCP Microscaling Formats 1.0, table 5).
_E2M1_DOUBLED = np.array((0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12), np.float32)


def can_dequantise(dtype: DType) -> bool:
    """Whether `dequantise` knows the type."""
    return dtype in _DECODERS


def dequantise(dtype: DType, raw: Bytes) -> Floats:
    """The elements of whole blocks, in order. Any run of blocks of a tensor may be given.

    Raises:
        UnknownFormatError: there is no decoder for the type; see `can_dequantise`.
        MalformedError: the bytes are not a whole number of blocks.
    """
    decoder = _DECODERS.get(dtype)
    if decoder is None:
        raise UnknownFormatError(f"values of the type {dtype.label} are not decoded")
    if raw.size % dtype.block_bytes:
        raise MalformedError(f"{raw.size} bytes are not whole blocks of {dtype.label}")
    blocks = np.ascontiguousarray(raw).reshape(-1, dtype.block_bytes)
    out = np.empty((len(blocks), dtype.block_elements), np.float32)
    # Scales may be any bits: products that overflow or are no numbers are what the file says.
    with np.errstate(all="ignore"):
        for first in range(0, len(blocks), _BLOCKS_AT_ONCE):
            part = slice(first, first + _BLOCKS_AT_ONCE)
            out[part] = decoder(blocks[part]).reshape(-1, dtype.block_elements)
    return out.reshape(-1)


# --- what blocks are made of -----------------------------------------------------------------


def _half(blocks: Bytes, at: int) -> Floats:
    """The f16 at byte `at` of every block, as a column."""
    return np.ascontiguousarray(blocks[:, at : at + 2]).view("<f2").astype(np.float32)


def _signed(blocks: Bytes) -> Floats:
    return blocks.view(np.int8).astype(np.float32)


def _codes(packed: Bytes, bits: int, run: int) -> Bytes:
    """The codes of `bits` bits in every row, packed in runs of `run` bytes."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)[:, None]
    runs = packed.reshape(len(packed), -1, 1, run)
    return ((runs >> shifts) & np.uint8((1 << bits) - 1)).reshape(len(packed), -1)


def _sub_blocks(elements: NDArray[np.generic], size: int) -> Floats:
    return elements.astype(np.float32).reshape(len(elements), -1, size)


def _k_scales(packed: Bytes) -> tuple[Floats, Floats]:
    """Eight scales and eight minima of 6 bits from 12 bytes (Q4_K, Q5_K).

    Bytes 0-3 and 4-7 hold the first four of each in their low 6 bits, and in their high 2 bits
    the high bits of the last four, whose low halves are the nibbles of bytes 8-11.
    """
    scales, minima, rest = packed[:, :4], packed[:, 4:8], packed[:, 8:]
    last_scales = (rest & 15) | (scales >> 6 << 4)
    last_minima = (rest >> 4) | (minima >> 6 << 4)
    return (
        np.concatenate((scales & 63, last_scales), axis=1).astype(np.float32),
        np.concatenate((minima & 63, last_minima), axis=1).astype(np.float32),
    )


# --- 32 elements -----------------------------------------------------------------------------


def _q4_0(b: Bytes) -> Floats:
    return _half(b, 0) * (_codes(b[:, 2:], 4, 16).astype(np.float32) - 8)


def _q4_1(b: Bytes) -> Floats:
    return _half(b, 0) * _codes(b[:, 4:], 4, 16).astype(np.float32) + _half(b, 2)


def _fifth_bits(low: Bytes, high: Bytes) -> Floats:
    bits = np.unpackbits(np.ascontiguousarray(high), axis=1, bitorder="little")
    return (_codes(low, 4, 16) | bits << 4).astype(np.float32)


def _q5_0(b: Bytes) -> Floats:
    return _half(b, 0) * (_fifth_bits(b[:, 6:], b[:, 2:6]) - 16)


def _q5_1(b: Bytes) -> Floats:
    return _half(b, 0) * _fifth_bits(b[:, 8:], b[:, 4:8]) + _half(b, 2)


def _q8_0(b: Bytes) -> Floats:
    return _half(b, 0) * _signed(b[:, 2:])


def _q8_1(b: Bytes) -> Floats:
    return _half(b, 0) * _signed(b[:, 4:])


def _iq4_nl(b: Bytes) -> Floats:
    return _half(b, 0) * _IQ4_LEVELS[_codes(b[:, 2:], 4, 16)]


def _mxfp4(b: Bytes) -> Floats:
    """The scale is a power of two, halved because the levels are doubled."""
    exponent = b[:, :1].astype(np.int32) - 128
    # Not `exp2`, which on some processors is one unit of the last place off.
    return np.ldexp(np.float32(1), exponent) * _E2M1_DOUBLED[_codes(b[:, 1:], 4, 16)]


# --- 64 and 128 elements ---------------------------------------------------------------------


def _ue4m3_halved() -> Floats:
    """Every byte as an unsigned E4M3 number, halved; 0x7F stands for no number and gives 0."""
    byte = np.arange(256)
    exponent, mantissa = (byte >> 3) & 15, byte & 7
    subnormal = mantissa * 2.0**-9
    normal = (1 + mantissa / 8) * 2.0 ** (exponent - 7)
    found = np.where(exponent == 0, subnormal, normal) / 2
    found[0x7F] = 0
    return found.astype(np.float32)


_UE4M3_HALVED = _ue4m3_halved()


def _nvfp4(b: Bytes) -> Floats:
    levels = _E2M1_DOUBLED[_codes(b[:, 4:], 4, 8)]
    return _UE4M3_HALVED[b[:, :4]][..., None] * levels.reshape(len(b), 4, 16)


def _q1_0(b: Bytes) -> Floats:
    bits = np.unpackbits(np.ascontiguousarray(b[:, 2:]), axis=1, bitorder="little")
    return _half(b, 0) * (2 * bits.astype(np.float32) - 1)


# --- 256 elements ----------------------------------------------------------------------------


def _q2_k(b: Bytes) -> Floats:
    scale = _half(b, 80) * (b[:, :16] & 15).astype(np.float32)
    minimum = _half(b, 82) * (b[:, :16] >> 4).astype(np.float32)
    codes = _sub_blocks(_codes(b[:, 16:80], 2, 32), 16)
    return scale[..., None] * codes - minimum[..., None]


def _q3_k(b: Bytes) -> Floats:
    scales = _codes(b[:, 96:104], 4, 8) | _codes(b[:, 104:108], 2, 4) << 4
    scale = _half(b, 108) * (scales.astype(np.float32) - 32)
    # The third bit is kept inverted: where it is 0, four is taken away.
    codes = _codes(b[:, 32:96], 2, 32) | _codes(b[:, :32], 1, 32) << 2
    return scale[..., None] * (_sub_blocks(codes, 16) - 4)


def _q4_k(b: Bytes) -> Floats:
    scales, minima = _k_scales(b[:, 4:16])
    codes = _sub_blocks(_codes(b[:, 16:], 4, 32), 32)
    return (_half(b, 0) * scales)[..., None] * codes - (_half(b, 2) * minima)[..., None]


def _q5_k(b: Bytes) -> Floats:
    scales, minima = _k_scales(b[:, 4:16])
    codes = _sub_blocks(_codes(b[:, 48:], 4, 32) | _codes(b[:, 16:48], 1, 32) << 4, 32)
    return (_half(b, 0) * scales)[..., None] * codes - (_half(b, 2) * minima)[..., None]


def _q6_k(b: Bytes) -> Floats:
    codes = _codes(b[:, :128], 4, 64) | _codes(b[:, 128:192], 2, 32) << 4
    scale = _half(b, 208) * _signed(b[:, 192:208])
    return scale[..., None] * (_sub_blocks(codes, 16) - 32)


def _q8_k(b: Bytes) -> Floats:
    scale = np.ascontiguousarray(b[:, :4]).view("<f4")
    return scale.astype(np.float32) * _signed(b[:, 4:260])


def _iq4_xs(b: Bytes) -> Floats:
    scales = _codes(b[:, 4:8], 4, 1) | _codes(b[:, 2:4], 2, 1) << 4
    scale = _half(b, 0) * (scales.astype(np.float32) - 32)
    return scale[..., None] * _sub_blocks(_IQ4_LEVELS[_codes(b[:, 8:], 4, 16)], 32)


def _ternary(packed: Bytes, digits: int) -> Bytes:
    """Base-3 digits of every row, the highest of every byte first.

    A byte holds its digits as a fraction of 256: times three, what passes 256 is a digit.
    """
    powers = np.array([3**n for n in range(digits)], np.uint8)[:, None]
    shifted = packed[:, None, :] * powers
    return (shifted.astype(np.uint16) * 3 >> 8).astype(np.uint8).reshape(len(packed), -1)


def _tq1_0(b: Bytes) -> Floats:
    runs = (_ternary(b[:, :32], 5), _ternary(b[:, 32:48], 5), _ternary(b[:, 48:52], 4))
    return _half(b, 52) * (np.concatenate(runs, axis=1).astype(np.float32) - 1)


def _tq2_0(b: Bytes) -> Floats:
    return _half(b, 64) * (_codes(b[:, :64], 2, 32).astype(np.float32) - 1)


_DECODERS: dict[DType, Callable[[Bytes], Floats]] = {
    DType.Q4_0: _q4_0,
    DType.Q4_1: _q4_1,
    DType.Q5_0: _q5_0,
    DType.Q5_1: _q5_1,
    DType.Q8_0: _q8_0,
    DType.Q8_1: _q8_1,
    DType.Q1_0: _q1_0,
    DType.Q2_K: _q2_k,
    DType.Q3_K: _q3_k,
    DType.Q4_K: _q4_k,
    DType.Q5_K: _q5_k,
    DType.Q6_K: _q6_k,
    DType.Q8_K: _q8_k,
    DType.IQ4_NL: _iq4_nl,
    DType.IQ4_XS: _iq4_xs,
    DType.TQ1_0: _tq1_0,
    DType.TQ2_0: _tq2_0,
    DType.MXFP4: _mxfp4,
    DType.NVFP4: _nvfp4,
}
