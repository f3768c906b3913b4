"""Statistics of a tensor from its values, block by block: bounded memory, every value looked at.

Types of 16 bits and fewer have so few patterns that these are counted, and every number follows
exactly from the counts. Wider ones go through one compiled pass. What comes out does not depend
on where blocks end, up to rounding of the moments.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from cairn.analysis.counted import CountedValues
from cairn.analysis.floats import (
    Buffer,
    code_bits,
    code_values,
    codes,
    floats,
    is_floating,
    parts_per_element,
)
from cairn.analysis.rows import DeadRows, rows_of
from cairn.analysis.spectrum import QUICK_SIDE, Matrix, matrix_for
from cairn.analysis.streamed import DistinctWords, StreamedValues
from cairn.compiled import read_only
from cairn.domain import DType, TensorInfo
from cairn.domain.statistics import TensorStatistics
from cairn.errors import MalformedError
from cairn.formats.dtypes import numpy_dtype

BLOCK_BYTES = 256 << 10
"""Bytes to hand in at once: with the tables still inside an L2 cache of 512 KiB."""

_UNSIGNED = {bits: np.dtype(f"u{bits // 8}") for bits in (8, 16, 32, 64)}
# Floats whose sign bit alone is not a zero: unsigned ones, and those that have no -0.
_NO_MINUS_ZERO = frozenset((DType.F8_E5M2FNUZ, DType.F8_E4M3FNUZ))
_NEVER_ZERO = frozenset((DType.F8_E8M0,))


def measure(
    tensor: TensorInfo, blocks: Iterable[Buffer], max_rank_side: int = QUICK_SIDE
) -> TensorStatistics:
    """Statistics of a tensor whose values come in whole blocks, as `formats.values.blocks` gives.

    The spectrum is computed of matrices whose shorter side is at most `max_rank_side`.

    Raises:
        UnknownFormatError: the type does not decode; see `floats.is_decodable`.
        MalformedError: there are fewer or more values than the tensor has.
    """
    matrix = matrix_for(tensor, max_rank_side)
    rows = _rows(tensor)
    take = _counted if code_bits(tensor.dtype) else _streamed
    kept = matrix if isinstance(matrix, Matrix) else None
    found = take(tensor, _held(tensor, blocks), rows, kept)
    spectrum = matrix if isinstance(matrix, str) else matrix.spectrum()
    return replace(
        found,
        rows=None if rows is None else rows.rows,
        dead_rows=0 if rows is None else rows.dead,
        spectrum=None if isinstance(spectrum, str) else spectrum,
        no_spectrum=spectrum if isinstance(spectrum, str) else "",
    )


def _held(tensor: TensorInfo, blocks: Iterable[Buffer]) -> Iterator[tuple[Buffer, int]]:
    """Blocks with the number of elements in each: the last of a packed type may have padding."""
    left = tensor.elements
    for block in blocks:
        units = np.frombuffer(block, np.uint8).size // tensor.dtype.block_bytes
        elements = min(left, units * tensor.dtype.block_elements)
        if not elements:
            raise MalformedError(f"tensor {tensor.name[:200]!r} has more values than its shape")
        left -= elements
        yield block, elements
    if left:
        raise MalformedError(f"tensor {tensor.name[:200]!r} has {left} values fewer than its shape")


def _counted(
    tensor: TensorInfo,
    held: Iterable[tuple[Buffer, int]],
    rows: DeadRows | None,
    matrix: Matrix | None,
) -> TensorStatistics:
    counted = CountedValues(tensor.dtype)
    for block, elements in held:
        words = read_only(codes(block, tensor.dtype, elements))
        counted.add(words)
        if rows is not None:
            rows.add(words)
        if matrix is not None:
            matrix.add(code_values(tensor.dtype).take(words))
    return counted.statistics()


def _streamed(
    tensor: TensorInfo,
    held: Iterable[tuple[Buffer, int]],
    rows: DeadRows | None,
    matrix: Matrix | None,
) -> TensorStatistics:
    kind = numpy_dtype(tensor.dtype)
    whole = kind if kind is not None and kind.kind in "iu" else None
    bits = _word_bits(tensor.dtype)
    streamed = StreamedValues(8 if whole is not None else bits // 8)
    distinct = DistinctWords(_magnitude(tensor.dtype), _largest(tensor.dtype), bits // 8)
    extremes: list[int] = []
    for block, elements in held:
        values = read_only(floats(block, tensor.dtype, elements))
        raw = np.frombuffer(block, np.uint8) if whole is not None else values
        words = read_only(raw.view(_UNSIGNED[bits]))
        streamed.add(values)
        distinct.add(words)
        if rows is not None:
            rows.add(words)
        if matrix is not None:
            matrix.add(values)
        if whole is not None:
            extremes += (int(words.view(whole).min()), int(words.view(whole).max()))
    found = streamed.statistics(distinct.count)
    if extremes:
        found = replace(found, minimum=min(extremes), maximum=max(extremes))
    return found


def _rows(tensor: TensorInfo) -> DeadRows | None:
    shape = rows_of(tensor)
    if shape is None or tensor.dtype in _NEVER_ZERO:
        return None
    rows, elements = shape
    words = elements * parts_per_element(tensor.dtype)
    return DeadRows(rows, words, _magnitude(tensor.dtype), _UNSIGNED[_word_bits(tensor.dtype)])


def _word_bits(dtype: DType) -> int:
    """Bits of the words that stand for the numbers: packed ones get a byte each."""
    narrow = code_bits(dtype)
    if narrow:
        return max(8, narrow)
    if dtype.is_block_quantised:
        return 32
    return 8 * dtype.block_bytes // parts_per_element(dtype)


def _magnitude(dtype: DType) -> int:
    """The bits that are all zero in a zero: all but a sign that zero may have."""
    bits = code_bits(dtype) or _word_bits(dtype)
    signed_zero = is_floating(dtype) and dtype not in _NO_MINUS_ZERO
    return (1 << bits - signed_zero) - 1


def _largest(dtype: DType) -> int:
    """The magnitude bits that anything but NaN may have, of types of 32 and 64 bits."""
    if not is_floating(dtype):
        return _magnitude(dtype)
    return 0x7F80_0000 if _word_bits(dtype) == 32 else 0x7FF0_0000_0000_0000
