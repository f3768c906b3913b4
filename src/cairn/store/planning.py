"""Chooses how a tensor is kept: alone, or as its difference to one that is stored already.

A storage is planned once, on a window of it, and its parts then follow the plan; a part that
does better alone is kept alone.
"""

from dataclasses import dataclass, replace

import numpy as np

from cairn.domain import DType, Source, Span
from cairn.store.base_parts import BaseParts
from cairn.store.candidates import Candidates
from cairn.store.cutting import Piece
from cairn.store.decays import decays_between
from cairn.store.deriving import (
    ALMOST_NOTHING,
    Plan,
    Way,
    encode_derived,
    likely_plan_bits,
    predict_into,
)
from cairn.store.low_rank_planning import low_rank_plan
from cairn.store.matrix_difference import Matrix, MatrixDifference
from cairn.store.rearranging import Rearranged
from cairn.store.solo import encode_alone

# What a trial codes, from the middle of a storage: long enough that a stream's own bytes do
# not count, short enough that a few trials cost less than coding one part.
TRIAL_BYTES = 128 << 10

# A difference is worth decoding its base only when it takes at most this share of what the part
# takes alone. That is also what ends a series of differences against one base.
WORTH_SHARE = 0.9

# A storage whose plan takes no more than this is not looked for in pieces.
SMALL_SHARE = 0.05


# Whoever is this much nearer is nearer in truth: what is weighed are samples.
CLEARLY_NEARER = 0.97

# Of two bases, one may be the other with a small change: beside a large one, such as an
# adapter's, they are equally near by a tenth, and which was changed shows in the rank alone.
ABOUT_AS_NEAR = 1.1
MOST_NEAR = 3


@dataclass(frozen=True, slots=True)
class _Steady:
    """One plan for all parts of a storage."""

    plan: Plan

    def way(self, start: int, size_bytes: int) -> Way | None:
        """For the part at byte `start`, however large."""
        del size_bytes
        return Way(self.plan, start)


class Planner:
    """Plans the storages of one blob."""

    def __init__(self, candidates: Candidates) -> None:
        self.candidates = candidates
        self._latest: tuple[Span, _Steady | Rearranged | None] | None = None
        self._share = 1.0  # of its plain bytes, that the latest storage is likely to take

    @property
    def parts(self) -> BaseParts:
        """What plans take their bases from."""
        return self.candidates.parts

    def ways(self, source: Source, piece: Piece, plain: bytes) -> list[Way]:
        """How a piece may be kept, the best first; none: alone.

        The plan of its storage is remembered until the next: it may hold the factors of an update.
        """
        span, dtype = piece.storage, piece.dtype
        if span is None or dtype is None:
            return []
        if self._latest is None or self._latest[0] != span:
            self._share = 1.0
            self._latest = span, self._planned(source, piece, span, dtype)
        found: list[Way | None] = []
        if self._share > SMALL_SHARE:
            pieces = self.candidates.piecewise(plain, piece)
            if pieces is not None:
                start, stop = _window(len(plain), dtype)
                worth = self._worth(memoryview(plain)[start:stop], dtype)
                found.append(Way(replace(pieces, worth_share=worth), 0))
        planned = self._latest[1]
        if planned is not None:
            found.append(planned.way(piece.span.start - span.start, piece.span.size_bytes))
        return [way for way in found if way is not None]

    def _worth(self, plain: memoryview, dtype: DType) -> float:
        """The share that is worth a base."""
        alone = encode_alone(plain, b"", dtype, self.parts.codecs)
        return len(alone.stored) / len(plain) * WORTH_SHARE

    def _planned(
        self, source: Source, piece: Piece, span: Span, dtype: DType
    ) -> "_Steady | Rearranged | None":
        """How to keep a storage: near to another one, or to one in another order of its axes."""
        start, stop = _window(span.size_bytes, dtype)
        plans = list(self.candidates.plans(source, piece, Span(start, stop)))
        plain = memoryview(source.read_at(span.start + start, stop - start))
        if plans:
            matrix = Matrix(source, span, dtype, piece.columns) if piece.columns else None
            plan = self._best(plans, plain, start, dtype, matrix)
            if plan is not None:
                return _Steady(plan)
        return self._rearranged(self.candidates.rearranged(source, piece), plain, start, dtype)

    def _rearranged(
        self, candidates: list[Rearranged], plain: memoryview, start: int, dtype: DType
    ) -> Rearranged | None:
        """The best for a storage that has `plain` at `start`; None if none is worth it."""
        best, least = None, self._worth(plain, dtype) if candidates else 0.0
        worth = least
        for made in candidates:
            way = made.way(start, len(plain))
            trial = way and encode_derived(way.plan, plain, b"", way.start, dtype, self.parts)
            if trial and len(trial.stored) <= least * len(plain):
                best, least = made, len(trial.stored) / len(plain)
            if least <= ALMOST_NOTHING:
                break
        if best is None:
            return None
        self._share = least
        return replace(best, worth_share=worth)

    def _best(
        self,
        plans: list[Plan],
        plain: memoryview,
        start: int,
        dtype: DType,
        matrix: Matrix | None,
    ) -> Plan | None:
        """The best for a storage that has `plain` at `start`; None if none is worth it."""
        plans += self._decayed(plans[0], plain, start, dtype)
        near = self._nearest(plans, plain, start, dtype)
        best = near[0]
        trial = encode_derived(best, plain, b"", start, dtype, self.parts)
        if trial is None:
            return None
        worth, share = self._worth(plain, dtype), len(trial.stored) / len(plain)
        if matrix is not None:
            near = [p for p in near if MatrixDifference.supports(dtype, p.base.dtype)]
            updated = low_rank_plan(near, matrix, worth, self.parts) if near else None
            if updated is not None:
                self._share = SMALL_SHARE
                return replace(updated, worth_share=worth)
        if share > worth:
            return None
        if best.blob is not None:
            self.candidates.prefer(best.blob)
        if not best.falls_short:
            self._share = share
        return replace(best, worth_share=worth)

    def _nearest(
        self, plans: list[Plan], plain: memoryview, start: int, dtype: DType
    ) -> list[Plan]:
        """The plan with the smallest difference, or the first that has none, before others.

        Those are about as near, and the last is to what its base was made from in the end. A
        tensor of the same type goes before others that are about as near.
        """
        weighed: list[tuple[float, Plan]] = []
        for plan in sorted(plans, key=lambda plan: plan.predictor != "same"):
            bits = likely_plan_bits(plan, plain, start, dtype, self.parts) if plans[1:] else 0.0
            weighed.append((bits if plan.predictor == "same" else bits / CLEARLY_NEARER, plan))
            if not bits:
                break
        weighed.sort(key=lambda one: one[0])  # stable
        fewest, best = weighed[0]
        near = [plan for bits, plan in weighed if bits <= fewest * ABOUT_AS_NEAR][:MOST_NEAR]
        origin = best.base.origin()
        return near if origin is best.base else [*near, replace(best, base=origin, blob=None)]

    def _decayed(self, plan: Plan, plain: memoryview, start: int, dtype: DType) -> list[Plan]:
        """The nearest tensor, shrunk as an optimizer's moments are between two saves."""
        if dtype is not DType.F32 or plan.predictor != "same":
            return []
        with self.parts.scratch.bytes(len(plain)) as room:
            if not predict_into(plan, start, room, dtype, self.parts):
                return []
            before = np.frombuffer(room, "<f4").copy()
        params = decays_between(before, np.frombuffer(plain, "<f4"))
        return [replace(plan, predictor="decay", params=given) for given in params]


def _window(size_bytes: int, dtype: DType) -> tuple[int, int]:
    """What a trial codes of a storage: whole elements from its middle."""
    start = max(0, size_bytes - TRIAL_BYTES) // 2
    start -= start % dtype.block_bytes
    return start, min(start + TRIAL_BYTES // dtype.block_bytes * dtype.block_bytes, size_bytes)
