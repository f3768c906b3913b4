"""Finds out whether a tensor is its base and a low-rank update, and how finely to keep that."""

from collections.abc import Iterator
from dataclasses import replace

from cairn.domain import DType
from cairn.errors import IntegrityError, UnavailableError
from cairn.store.base_parts import BaseParts
from cairn.store.blas_threads import one_blas_thread
from cairn.store.deriving import Plan, encode_derived, likely_plan_bits
from cairn.store.factoring import MIN_SAVED_BITS, factored, promising_rank, typical_unit
from cairn.store.low_rank_update import LowRankUpdate
from cairn.store.matrix_difference import MatrixDifference

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
    plan: Plan, difference: MatrixDifference, worth_share: float, parts: BaseParts
) -> Plan | None:
    """The plan of a plain difference with an update, where that takes fewer bytes.

    None where it does not, or takes more than `worth_share` of the plain bytes.
    """
    if not MIN_ELEMENTS <= difference.elements <= MAX_ELEMENTS:
        return None
    try:
        windows = list(_windows(difference))
        if _bits(plan, windows, difference, parts) < MIN_SAVED_BITS:
            return None  # most often a copy: nothing else is read of it
        rank = promising_rank(difference)
        if not rank:
            return None
        least = min(worth_share, WORTH_UPDATE * _share(plan, windows, difference, parts))
        best = None
        for update in _updates(difference, rank, plan.base.dtype):
            tried = replace(plan, predictor="low-rank", params=b"", update=update)
            share = _share(tried, windows, difference, parts)
            if share < least:
                best, least = tried, share
    except (IntegrityError, UnavailableError):
        return None
    return best


def _windows(difference: MatrixDifference) -> Iterator[tuple[int, memoryview]]:
    """Byte offsets and bytes of some rows at the start, in the middle and at the end.

    Query, key and value are often one matrix, with an adapter in two of them.
    """
    rows = max(1, WINDOW_ELEMENTS // difference.columns)
    rows = min(rows, -(-difference.rows // 3))
    for first in {0, (difference.rows - rows) // 2, difference.rows - rows}:
        yield first * difference.row_bytes, difference.plain(first, rows)


def _bits(
    plan: Plan,
    windows: list[tuple[int, memoryview]],
    difference: MatrixDifference,
    parts: BaseParts,
) -> float:
    """About how many bits an element of the windows takes by a plain difference."""
    dtype = difference.dtype
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
    plan: Plan,
    windows: list[tuple[int, memoryview]],
    difference: MatrixDifference,
    parts: BaseParts,
) -> float:
    """Stored bytes per plain byte: of windows, and of an update's own parts over the whole."""
    stored = size = 0
    for start, plain in windows:
        tried = encode_derived(plan, plain, b"", start, difference.dtype, parts)
        if tried is None:
            return float("inf")
        stored, size = stored + len(tried.stored), size + len(plain)
    share = stored / size
    if plan.update is not None:
        own = sum(len(part.stored) for part in plan.update.encoded(parts.codecs))
        share += own / (difference.rows * difference.row_bytes)
    return share
