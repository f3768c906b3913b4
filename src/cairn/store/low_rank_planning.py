"""Finds out whether a tensor is its base and a low-rank update, and how finely to keep that."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from cairn.domain import DType
from cairn.errors import IntegrityError, UnavailableError
from cairn.store.base_parts import BaseParts
from cairn.store.blas_threads import one_blas_thread
from cairn.store.deriving import Plan, encode_derived, likely_plan_bits
from cairn.store.factoring import MIN_SAVED_BITS, factored, promise_of, typical_unit
from cairn.store.low_rank_update import LowRankUpdate
from cairn.store.matrix_difference import Matrix, MatrixDifference

# Smaller matrices are not worth a part for their factors; of larger ones, which would be a
# gigabyte of float32, nobody has merged an adapter.
MIN_ELEMENTS = 1 << 14
MAX_ELEMENTS = 1 << 28

# An update must save this much of the difference: it is read more slowly.
WORTH_UPDATE = 0.95

# What updates are tried on, three times over the matrix.
WINDOW_ELEMENTS = 1 << 14

# Errors of the update that are tried, in units of the last place: an eighth costs residuals,
# a 256th bits of the factors.
_FINENESS = [2.0**-n for n in range(3, 9)]


def low_rank_plan(
    plans: Sequence[Plan], matrix: Matrix, worth_share: float, parts: BaseParts
) -> Plan | None:
    """A plan with an update, where that takes fewer bytes than the first of plain differences.

    The others are to bases about as near: beside a large update it does not show in a plain
    difference which one was updated. None where no update helps, or where it takes more than
    `worth_share` of the plain bytes.
    """
    if not MIN_ELEMENTS <= matrix.elements <= MAX_ELEMENTS:
        return None
    try:
        windows = list(_windows(matrix))
        if _bits(plans[0], windows, matrix.dtype, parts) < MIN_SAVED_BITS:
            return None  # most often a copy: nothing else is read of it
        found = _most_promising(plans, matrix, parts)
        if found is None:
            return None
        plan, difference, rank = found
        plain_share = _share(plans[0], windows, matrix, parts)
        best, least = None, min(worth_share, WORTH_UPDATE * plain_share)
        for update in _updates(difference, rank, plan.base.dtype):
            tried = replace(plan, predictor="low-rank", params=b"", update=update)
            share = _share(tried, windows, matrix, parts)
            if share < least:
                best, least = tried, share
    except (IntegrityError, UnavailableError):
        return None
    return best


def _most_promising(
    plans: Sequence[Plan], matrix: Matrix, parts: BaseParts
) -> tuple[Plan, MatrixDifference, int] | None:
    """The plan whose base factors would save most to, and at which rank."""
    best, most = None, 0.0
    for plan in {id(plan.base): plan for plan in reversed(plans)}.values():
        difference = MatrixDifference(matrix, plan.base, parts)
        promise = promise_of(difference)
        if promise is not None and promise.saved_bits > most:
            best, most = (plan, difference, promise.rank), promise.saved_bits
    return best


def _windows(matrix: Matrix) -> Iterator[tuple[int, memoryview]]:
    """Byte offsets and bytes of some rows at the start, in the middle and at the end.

    Query, key and value are often one matrix, with an adapter in two of them.
    """
    rows = max(1, WINDOW_ELEMENTS // matrix.columns)
    rows = min(rows, -(-matrix.rows // 3))
    for first in {0, (matrix.rows - rows) // 2, matrix.rows - rows}:
        yield first * matrix.row_bytes, matrix.plain(first, rows)


def _bits(
    plan: Plan, windows: list[tuple[int, memoryview]], dtype: DType, parts: BaseParts
) -> float:
    """About how many bits an element of the windows takes by a plain difference."""
    found = [likely_plan_bits(plan, plain, start, dtype, parts) for start, plain in windows]
    return sum(found) / len(found)


def _updates(difference: MatrixDifference, rank: int, base: DType) -> Iterator[LowRankUpdate]:
    with one_blas_thread():
        found = factored(difference, rank)
    if found is None:
        return
    step = typical_unit(difference) / rank**0.5
    for rounds in (False,) if difference.dtype is DType.F32 else (False, True):
        for fineness in _FINENESS:
            update = LowRankUpdate.of(*found, step * fineness, base, rounds=rounds)
            if update is not None:
                yield update


def _share(
    plan: Plan, windows: list[tuple[int, memoryview]], matrix: Matrix, parts: BaseParts
) -> float:
    """Stored bytes per plain byte: of windows, and of an update's own parts over the whole."""
    stored = size = 0
    for start, plain in windows:
        tried = encode_derived(plan, plain, b"", start, matrix.dtype, parts)
        if tried is None:
            return float("inf")
        stored, size = stored + len(tried.stored), size + len(plain)
    share = stored / size
    if plan.update is not None:
        own = sum(len(part.stored) for part in plan.update.encoded(parts.codecs))
        share += own / (matrix.rows * matrix.row_bytes)
    return share
