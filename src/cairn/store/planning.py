"""Chooses how a tensor is kept: alone, or as its difference to one that is stored already.

A storage is planned once, on a window of it, and its parts then follow the plan; a part that
does better alone is kept alone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from cairn.domain import Digest, DType, Source, Span
from cairn.errors import BlobNotFoundError, IntegrityError, UnavailableError
from cairn.store.base_tensor import BaseTensor
from cairn.store.decays import decays_between
from cairn.store.deriving import Plan, encode_derived, likely_plan_bits, predict_into
from cairn.store.holdings import load_recipe
from cairn.store.kin import Kin, Relative
from cairn.store.parts import PartStore
from cairn.store.predictors.cast import cast_params
from cairn.store.recipes import Recipe
from cairn.store.residual import codings_for
from cairn.store.sketches import Sketch, can_sketch, take_sketch
from cairn.store.solo import encode_alone

# What a trial codes, from the middle of a storage: long enough that a stream's own bytes do
# not count, short enough that a few trials cost less than coding one part.
TRIAL_BYTES = 128 << 10

# A difference is worth decoding its base only when it takes at most this share of what the part
# takes alone. That is also what ends a series of differences against one base.
WORTH_SHARE = 0.9


class Planner:
    """Plans the storages of one blob, and takes their sketches."""

    def __init__(self, parts: PartStore, kin: Kin) -> None:
        self._parts = parts
        self._kin = kin
        self._recipes: dict[bytes, Recipe | None] = {}
        self._sketches: dict[Span, Sketch] = {}
        self._plans: dict[Span, Plan | None] = {}

    @property
    def sketches(self) -> list[Sketch]:
        """Those of all storages seen so far."""
        return list(self._sketches.values())

    def see(self, source: Source, span: Span, dtype: DType | None) -> None:
        """Take a storage's sketch, unless it has one or is too small or of no number type."""
        if dtype is not None and span not in self._sketches and can_sketch(dtype, span.size_bytes):
            self._sketches[span] = take_sketch(source, span, dtype)

    def plan(self, source: Source, span: Span) -> Plan | None:
        """How to keep the parts of a storage; None: each alone."""
        if span not in self._plans:
            sketch = self._sketches.get(span)
            self._plans[span] = None if sketch is None else self._planned(source, sketch)
        return self._plans[span]

    def _planned(self, source: Source, sketch: Sketch) -> Plan | None:
        relatives = self._kin.nearest(sketch)
        plans = list(self._candidates(relatives, sketch.dtype))
        if not plans:
            return None
        span, dtype = sketch.span, sketch.dtype
        start, stop = _window(span.size_bytes, dtype)
        plain = memoryview(source.read_at(span.start + start, stop - start))
        plans += self._decayed(plans[0], plain, start, dtype)
        best = plans[0]
        if len(plans) > 1:
            best = min(plans, key=lambda p: likely_plan_bits(p, plain, start, dtype, self._parts))
        trial = encode_derived(best, plain, b"", start, dtype, self._parts)
        alone = encode_alone(plain, b"", dtype, self._parts.codecs)
        worth = len(alone.stored) * WORTH_SHARE
        if trial is None or len(trial.stored) > worth:
            return None
        return replace(best, worth_share=worth / len(plain))

    def _candidates(self, relatives: Iterable[Relative], dtype: DType) -> Iterator[Plan]:
        for relative in relatives:
            recipe = self._recipe(relative.blob)
            theirs = relative.sketch.dtype
            params = b"" if theirs is dtype else cast_params(theirs, dtype)
            if recipe is None or params is None:
                continue
            base = BaseTensor(recipe, relative.sketch.span, theirs, self._parts)
            yield Plan(base, "cast" if params else "same", params, codings_for(dtype)[-1])

    def _decayed(self, plan: Plan, plain: memoryview, start: int, dtype: DType) -> list[Plan]:
        """The nearest tensor, shrunk as an optimizer's moments are between two saves."""
        if dtype is not DType.F32 or plan.predictor != "same":
            return []
        with self._parts.scratch.bytes(len(plain)) as room:
            if not predict_into(plan, start, room, dtype, self._parts):
                return []
            before = np.frombuffer(room, "<f4").copy()
        params = decays_between(before, np.frombuffer(plain, "<f4"))
        return [replace(plan, predictor="decay", params=given) for given in params]

    def _recipe(self, digest: Digest) -> Recipe | None:
        if digest.raw not in self._recipes:
            try:
                self._recipes[digest.raw] = load_recipe(self._parts.backend, digest)
            except (BlobNotFoundError, IntegrityError, UnavailableError):
                self._recipes[digest.raw] = None
        return self._recipes[digest.raw]


def _window(size_bytes: int, dtype: DType) -> tuple[int, int]:
    """What a trial codes of a storage: whole elements from its middle."""
    start = max(0, size_bytes - TRIAL_BYTES) // 2
    start -= start % dtype.block_bytes
    return start, min(start + TRIAL_BYTES, size_bytes)
