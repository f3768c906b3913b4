"""Chooses how a tensor is kept: alone, or as its difference to one that is stored already.

A storage is planned once, on a window of it, and its parts then follow the plan; a part that
does better alone is kept alone.
"""

from dataclasses import replace

import numpy as np

from cairn.domain import DType, Source, Span
from cairn.store.base_parts import BaseParts
from cairn.store.candidates import Candidates
from cairn.store.cutting import Piece
from cairn.store.decays import decays_between
from cairn.store.deriving import Plan, encode_derived, likely_plan_bits, predict_into
from cairn.store.low_rank_planning import low_rank_plan
from cairn.store.matrix_difference import MatrixDifference
from cairn.store.solo import encode_alone

# What a trial codes, from the middle of a storage: long enough that a stream's own bytes do
# not count, short enough that a few trials cost less than coding one part.
TRIAL_BYTES = 128 << 10

# A difference is worth decoding its base only when it takes at most this share of what the part
# takes alone. That is also what ends a series of differences against one base.
WORTH_SHARE = 0.9


# Whoever is this much nearer is nearer in truth: what is weighed are samples.
CLEARLY_NEARER = 0.97


class Planner:
    """Plans the storages of one blob."""

    def __init__(self, candidates: Candidates) -> None:
        self.candidates = candidates
        self._latest: tuple[Span, Plan | None] | None = None

    @property
    def parts(self) -> BaseParts:
        """What plans take their bases from."""
        return self.candidates.parts

    def plan(self, source: Source, piece: Piece) -> Plan | None:
        """How to keep a piece and the others of its storage; None: each alone.

        Remembered until the next storage: a plan may hold the factors of an update.
        """
        span = piece.storage
        if span is None:
            return None
        if self._latest is None or self._latest[0] != span:
            self._latest = span, self._planned(source, piece, span)
        return self._latest[1]

    def _planned(self, source: Source, piece: Piece, span: Span) -> Plan | None:
        dtype = piece.dtype
        if dtype is None:
            return None
        start, stop = _window(span.size_bytes, dtype)
        plans = list(self.candidates.plans(span, dtype, start, stop))
        if not plans:
            return None
        plain = memoryview(source.read_at(span.start + start, stop - start))
        plans += self._decayed(plans[0], plain, start, dtype)
        best = self._nearest(plans, plain, start, dtype)
        trial = encode_derived(best, plain, b"", start, dtype, self.parts)
        if trial is None:
            return None
        alone = encode_alone(plain, b"", dtype, self.parts.codecs)
        worth = len(alone.stored) / len(plain) * WORTH_SHARE
        share = len(trial.stored) / len(plain)
        if piece.columns and MatrixDifference.supports(dtype, best.base.dtype):
            difference = MatrixDifference(source, span, dtype, piece.columns, best.base, self.parts)
            updated = low_rank_plan(best, difference, worth, self.parts)
            if updated is not None:
                return replace(updated, worth_share=worth)
        return replace(best, worth_share=worth) if share <= worth else None

    def _nearest(self, plans: list[Plan], plain: memoryview, start: int, dtype: DType) -> Plan:
        """The plan with the smallest difference; the first that has none.

        A tensor of the same type goes before others that are about as near: beside what an
        adapter adds, what a cast rounded off is small, and yet no update makes up for it.
        """
        plans = sorted(plans, key=lambda plan: plan.predictor != "same")
        best, fewest = plans[0], float("inf")
        for plan in plans if len(plans) > 1 else ():
            bits = likely_plan_bits(plan, plain, start, dtype, self.parts)
            if bits < fewest * (1 if plan.predictor == best.predictor else CLEARLY_NEARER):
                best, fewest = plan, bits
            if not bits:
                break
        return best

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
