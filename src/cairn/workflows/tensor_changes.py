"""What became of each tensor of a checkpoint: streamed from both sides, on both cores."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from itertools import accumulate

from cairn.domain import Comparison
from cairn.errors import UntrustedDataError
from cairn.workflows.paired_blocks import paired_blocks
from cairn.workflows.readable import ReadableCheckpoint
from cairn.workflows.tensor_pairs import Pair

WORKERS = 2
MAX_TRANSPOSED_BYTES = 256 << 20
"""Bytes of a matrix held to see whether it was transposed."""

Progress = Callable[[int], None]


class Verdict(Enum):
    """What happened to a tensor that is on both sides."""

    EQUAL = "equal"
    CAST = "cast"
    CHANGED = "changed"
    RESHAPED = "reshaped"
    TRANSPOSED = "transposed"
    RESIZED = "resized"
    UNKNOWN = "not compared"


@dataclass(frozen=True, slots=True)
class TensorChange:
    """One tensor on both sides. `comparison` is None where values were not compared: `why`.

    Nor is there one where the bytes are known to be equal without reading them.

    Of a resized tensor the rows that both have were compared.
    """

    pair: Pair
    verdict: Verdict
    comparison: Comparison | None = None
    why: str = ""


def compare_values(
    before: ReadableCheckpoint,
    after: ReadableCheckpoint,
    pairs: tuple[Pair, ...],
    progress: Progress | None = None,
) -> list[TensorChange]:
    """Compare the values of all pairs; what cannot be read says so, the others go on.

    `progress` gets the bytes of both sides newly done, from several threads.
    """
    left = before.max_value_bytes + after.max_value_bytes
    reached = accumulate(pair.bytes_to_compare for pair in pairs)

    def work(pair: Pair, so_far: int) -> TensorChange:
        if pair.is_same:
            return TensorChange(pair, Verdict.EQUAL)
        if so_far > left:
            why = "values of far more bytes than the files have"
            return TensorChange(pair, Verdict.UNKNOWN, why=why)
        try:
            found = _compared(before, after, pair)
        except UntrustedDataError as error:
            found = TensorChange(pair, Verdict.UNKNOWN, why=str(error))
        if progress is not None:
            progress(pair.bytes_to_compare)
        return found

    with ThreadPoolExecutor(WORKERS, "cairn-diff") as pool:
        return list(pool.map(work, pairs, reached))


def compare_headers(pairs: tuple[Pair, ...]) -> list[TensorChange]:
    """What can be said without reading values: shapes and dtypes."""
    found = []
    for pair in pairs:
        if pair.is_same:
            found.append(TensorChange(pair, Verdict.EQUAL))
            continue
        a, b = pair.before.tensor, pair.after.tensor
        if a.shape == b.shape:
            verdict = Verdict.UNKNOWN
        else:
            same_count = a.elements == b.elements
            verdict = Verdict.RESHAPED if same_count else Verdict.RESIZED
        found.append(TensorChange(pair, verdict, why="values were not read"))
    return found


def _compared(before: ReadableCheckpoint, after: ReadableCheckpoint, pair: Pair) -> TensorChange:
    from cairn.analysis.comparison import comparable

    a, b = pair.before.tensor, pair.after.tensor
    if not comparable(a.dtype, b.dtype):
        return _by_bytes(before, after, pair)
    if a.shape == b.shape:
        found = _streamed(before, after, pair, a.shape)
        return TensorChange(pair, _verdict(found), found)
    if a.elements == b.elements:
        return _reordered(before, after, pair)
    if a.shape[1:] == b.shape[1:] and a.shape and b.shape:
        rows = min(a.shape[0], b.shape[0])
        shared = _streamed(before, after, pair, (rows, *a.shape[1:]))
        return TensorChange(pair, Verdict.RESIZED, shared)
    return TensorChange(pair, Verdict.RESIZED, why="no rows in common")


def _verdict(found: Comparison) -> Verdict:
    if found.cast:
        return Verdict.CAST
    return Verdict.EQUAL if found.equal else Verdict.CHANGED


def _streamed(
    before: ReadableCheckpoint, after: ReadableCheckpoint, pair: Pair, shape: tuple[int, ...]
) -> Comparison:
    from cairn.analysis.comparison import PairComparison

    a, b = pair.before.tensor, pair.after.tensor
    comparison = PairComparison(shape, a.dtype, b.dtype)
    for first, second, elements in paired_blocks(before, after, pair, shape):
        comparison.add(first, second, elements)
    return comparison.result()


def _reordered(before: ReadableCheckpoint, after: ReadableCheckpoint, pair: Pair) -> TensorChange:
    """Equal elements in another shape: as they are, or turned by ninety degrees."""
    a, b = pair.before.tensor, pair.after.tensor
    found = _streamed(before, after, pair, (a.elements,))
    if found.equal or found.cast:
        return TensorChange(pair, Verdict.RESHAPED, found)
    if a.dtype is b.dtype and a.shape == b.shape[::-1] and a.size_bytes <= MAX_TRANSPOSED_BYTES:
        if _is_transposed(before, after, pair):
            return TensorChange(pair, Verdict.TRANSPOSED)
        return TensorChange(pair, Verdict.RESHAPED, why="turned, and its values changed")
    return TensorChange(pair, Verdict.RESHAPED, why="another shape, and its values changed")


def _is_transposed(before: ReadableCheckpoint, after: ReadableCheckpoint, pair: Pair) -> bool:
    import numpy as np

    from cairn.formats.dtypes import unit_dtype

    arrays = []
    for side, one in ((before, pair.before), (after, pair.after)):
        raw = b"".join(side.blocks(one.path, one.tensor))
        units = np.frombuffer(raw, unit_dtype(one.tensor.dtype))
        if one.tensor.dtype.block_elements > 1:
            return False
        arrays.append(units.reshape(one.tensor.shape))
    return bool(np.array_equal(arrays[0].T, arrays[1]))


def _by_bytes(before: ReadableCheckpoint, after: ReadableCheckpoint, pair: Pair) -> TensorChange:
    """Types whose values are not decoded: only whether the bytes are equal can be said."""
    from cairn.workflows.tensor_pairs import content_digest

    a, b = pair.before.tensor, pair.after.tensor
    if a.dtype is not b.dtype:
        why = f"{a.dtype.label} and {b.dtype.label} cannot be compared by value"
        return TensorChange(pair, Verdict.UNKNOWN, why=why)
    if content_digest(before.blocks, pair.before) == content_digest(after.blocks, pair.after):
        return TensorChange(pair, Verdict.EQUAL)
    return TensorChange(
        pair, Verdict.CHANGED, why=f"values of {a.dtype.label} are not decoded; bytes differ"
    )
