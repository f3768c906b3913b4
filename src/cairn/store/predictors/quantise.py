"""The blocks that ggml's reference quantiser makes of a tensor: a GGUF file of a stored model.

| offset | bytes | field |
|---|---|---|
| 0 | 1 | u8 type of the bases: 1 F32, 2 BF16, 3 F16 |

Blocks of 32 elements (structs in https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h):

| type | bytes | block |
|---|---|---|
| Q4_0 | 18 | f16 scale, codes of 4 bits |
| Q4_1 | 20 | f16 scale, f16 minimum, codes of 4 bits |
| Q5_0 | 22 | f16 scale, fifth bits of the codes in 4 bytes, codes of 4 bits |
| Q5_1 | 24 | f16 scale, f16 minimum, fifth bits of the codes in 4 bytes, codes of 4 bits |
| Q8_0 | 34 | f16 scale, signed codes of 8 bits |

The arithmetic is that of `quantise_kernels`. A file made by a quantiser compiled with fused
multiply-adds differs in a few codes; the residual then holds those.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from cairn.domain import DType
from cairn.errors import IntegrityError
from cairn.store.bases import BaseBytes
from cairn.store.predictor import Predictor
from cairn.store.scratch import Scratch
from cairn.store.single_floats import CODES, TYPES, Array, bits, narrow, widen

_ELEMENTS = 32  # of a block
_BLOCKS_AT_ONCE = 8192  # a mebibyte of float32, its codes and its blocks stay in the cache


class _Shape(NamedTuple):
    """Bits of a code, and whether a block has a minimum beside its scale."""

    code_bits: int
    ranged: bool


_SHAPES = {
    DType.Q4_0: _Shape(4, ranged=False),
    DType.Q4_1: _Shape(4, ranged=True),
    DType.Q5_0: _Shape(5, ranged=False),
    DType.Q5_1: _Shape(5, ranged=True),
    DType.Q8_0: _Shape(8, ranged=False),
}


def quantise_params(base: DType, target: DType) -> bytes | None:
    """The parameters for bases of this type, or None if `target` is not made from them."""
    return bytes([CODES[base]]) if base in CODES and target in _SHAPES else None


class QuantisePredictor(Predictor):
    """A block is that of the base's values, quantised."""

    name = "quantise"

    def predict_into(
        self,
        params: memoryview,
        bases: BaseBytes,
        out: memoryview,
        dtype: DType | None,
        scratch: Scratch,
    ) -> None:
        """The bases' values, quantised."""
        source = TYPES.get(params[0]) if len(params) == 1 else None
        if source is None or dtype is None or dtype not in _SHAPES:
            raise IntegrityError(f"nothing quantises {bytes(params).hex()} to {dtype}")
        count, rest = divmod(len(out), dtype.block_bytes)
        block = _ELEMENTS * source.block_bytes
        if rest or bases.size_bytes() != count * block:
            raise IntegrityError(f"bases do not have {len(out)} bytes of {dtype.label}")
        blocks = np.frombuffer(out, np.uint8).reshape(count, dtype.block_bytes)
        done = 0
        for first, stop in _runs(bases, block):
            with scratch.bytes(bases.size_bytes(first, stop)) as plain:
                bases.read_into(plain, first, stop)
                made = blocks[done : done + len(plain) // block]
                _quantise(plain, source, made, dtype, scratch)
                done += len(made)


def _runs(bases: BaseBytes, block: int) -> Iterator[tuple[int, int]]:
    """The shortest runs of bases that hold whole blocks: mostly one base each."""
    first = 0
    for stop in range(1, len(bases) + 1):
        if bases.size_bytes(first, stop) % block == 0:
            yield first, stop
            first = stop


def _quantise(
    plain: memoryview, source: DType, blocks: Array, dtype: DType, scratch: Scratch
) -> None:
    """Values of the source type to blocks (n, bytes), a cacheful at a time."""
    values = bits(plain, source).reshape(-1, _ELEMENTS)
    most = min(len(values), _BLOCKS_AT_ONCE)
    with scratch.bytes(most * _ELEMENTS * 5 + most * 10) as room:
        for at in range(0, len(values), _BLOCKS_AT_ONCE):
            part = values[at : at + _BLOCKS_AT_ONCE]
            work = _Work(room, len(part))
            widen(part.ravel(), source, work.singles.reshape(-1).view("<u4"))
            _fill(work, blocks[at : at + len(part)], _SHAPES[dtype])


class _Work:
    """What lies between the values of n blocks and the blocks."""

    def __init__(self, room: memoryview, count: int) -> None:
        at = 4 * count * _ELEMENTS
        self.singles = np.frombuffer(room, "<f4", count * _ELEMENTS).reshape(count, _ELEMENTS)
        self.scales = np.frombuffer(room, "<f4", count, at)
        self.minima = np.frombuffer(room, "<f4", count, at + 4 * count)
        self.halves = np.frombuffer(room, "<u2", count, at + 8 * count)
        codes = np.frombuffer(room, np.uint8, count * _ELEMENTS, at + 10 * count)
        self.codes = codes.reshape(count, _ELEMENTS)


def _fill(work: _Work, blocks: Array, shape: _Shape) -> None:
    """Blocks (n, bytes) from float32."""
    from cairn.store import quantise_kernels as kernels  # numba: only when needed

    levels = 1 << shape.code_bits
    if shape.code_bits == 8:
        kernels.signed_codes(work.singles, work.scales, work.codes)
    elif shape.ranged:
        kernels.ranged_codes(work.singles, levels - 1, work.scales, work.minima, work.codes)
    else:
        kernels.centred_codes(work.singles, levels // 2, work.scales, work.codes)
    at = _put_halves(work.scales, work.halves, blocks, 0)
    if shape.ranged:
        at = _put_halves(work.minima, work.halves, blocks, at)
    if shape.code_bits == 8:
        blocks[:, at:] = work.codes
        return
    if shape.code_bits == 5:
        kernels.pack_fifth_bits(work.codes, blocks, at)
        at += 4
    kernels.pack_low_bits(work.codes, blocks, at)


def _put_halves(singles: Array, halves: Array, blocks: Array, at: int) -> int:
    """Round to float16 and write at byte `at` of every block; the byte after them."""
    narrow(singles.view("<u4"), DType.F16, halves)
    blocks[:, at : at + 2] = halves.view(np.uint8).reshape(-1, 2)
    return at + 2
