"""Chooses how a tensor is kept: alone, or as its difference to one that is stored already.

A storage is planned once, on a window of it, and its parts then follow the plan; a part that
does better alone is kept alone.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from cairn.domain import Digest, DType, Source, Span
from cairn.errors import BlobNotFoundError, IntegrityError, UnavailableError
from cairn.store.base_parts import BaseParts
from cairn.store.base_tensor import BaseTensor
from cairn.store.bases import Base
from cairn.store.conversions import conversion
from cairn.store.cutting import Piece
from cairn.store.decays import decays_between
from cairn.store.deriving import Plan, bases_of, encode_derived, likely_plan_bits, predict_into
from cairn.store.holdings import load_recipe
from cairn.store.kin import Kin
from cairn.store.low_rank_planning import low_rank_plan
from cairn.store.matrix_difference import MatrixDifference
from cairn.store.parts import PartStore
from cairn.store.profiles import Profile
from cairn.store.recipes import Recipe
from cairn.store.sampled import Relative
from cairn.store.sketches import Sketch, can_sketch, take_sketch
from cairn.store.solo import encode_alone

# What a trial codes, from the middle of a storage: long enough that a stream's own bytes do
# not count, short enough that a few trials cost less than coding one part.
TRIAL_BYTES = 128 << 10

# How many different tensors are tried. Quantising moves a value by up to a twelfth, which hides
# from the sketches what a training changed; but of the right tensor nothing differs at all.
RIVALS = {"same": 2, "cast": 2, "quantise": 8}

# A difference is worth decoding its base only when it takes at most this share of what the part
# takes alone. That is also what ends a series of differences against one base.
WORTH_SHARE = 0.9


class Planner:
    """Plans the storages of one blob, and takes their sketches."""

    def __init__(self, blob: Digest, stored: PartStore, kin: Kin, profile: Profile) -> None:
        """`kin` learns of the blob's tensors as they are passed: later ones may be near to them."""
        self.parts = BaseParts(stored)
        self._blob = blob
        self._backend = stored.backend
        self._kin = kin
        self._profile = profile
        self._recipes: dict[bytes, Recipe | None] = {}
        self._sketches: dict[Span, Sketch] = {}
        self._runs: dict[Span, list[Base]] = {}  # of those that have sketches
        self._done: set[Span] = set()
        self._latest: tuple[Span, Plan | None] | None = None

    @property
    def sketches(self) -> list[Sketch]:
        """Those of all storages seen so far."""
        return list(self._sketches.values())

    def see(self, source: Source, piece: Piece, digest: bytes) -> None:
        """Take the sketch of a piece's storage, unless that is too small or of no number type."""
        span, dtype = piece.storage, piece.dtype
        if span is None or dtype is None or not can_sketch(dtype, span.size_bytes):
            return
        if span not in self._sketches:
            self._sketches[span] = take_sketch(source, span, dtype)
        self._runs.setdefault(span, []).append(Base(digest, 0, piece.span.size_bytes))

    def seen(self, piece: Piece) -> None:
        """A piece is done with; its storage serves as base for the next ones if it was the last."""
        sketch = self._sketches.get(piece.storage) if piece.storage else None
        if sketch is not None and piece.span.stop == sketch.span.stop:
            self._kin.add(self._blob, [sketch])
            self._done.add(sketch.span)

    def plan(self, source: Source, piece: Piece) -> Plan | None:
        """How to keep a piece and the others of its storage; None: each alone.

        Remembered until the next storage: a plan may hold the factors of an update.
        """
        span = piece.storage
        if span is None:
            return None
        if self._latest is None or self._latest[0] != span:
            sketch = self._sketches.get(span)
            plan = None if sketch is None else self._planned(source, sketch, piece.columns)
            self._latest = span, plan
        return self._latest[1]

    def _planned(self, source: Source, sketch: Sketch, columns: int) -> Plan | None:
        span, dtype = sketch.span, sketch.dtype
        start, stop = _window(span.size_bytes, dtype)
        plans = list(self._candidates(sketch, start, stop))
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
        if columns and MatrixDifference.supports(dtype, best.base.dtype):
            difference = MatrixDifference(source, span, dtype, columns, best.base, self.parts)
            updated = low_rank_plan(best, difference, worth, self.parts)
            if updated is not None:
                return replace(updated, worth_share=worth)
        return replace(best, worth_share=worth) if share <= worth else None

    def _nearest(self, plans: list[Plan], plain: memoryview, start: int, dtype: DType) -> Plan:
        """The plan with the smallest difference; the first that has none."""
        best, fewest = plans[0], float("inf")
        for plan in plans if len(plans) > 1 else ():
            bits = likely_plan_bits(plan, plain, start, dtype, self.parts)
            if bits < fewest:
                best, fewest = plan, bits
            if not bits:
                break
        return best

    def _candidates(self, sketch: Sketch, start: int, stop: int) -> Iterator[Plan]:
        """Plans with different bases for the bytes `start .. stop`, the likeliest first."""
        dtype = sketch.dtype
        tried: Counter[str] = Counter()
        seen: set[tuple[Base, ...]] = set()
        for relative in self._kin.nearest(sketch):
            how = conversion(relative.sketch.dtype, dtype)
            if how is None or tried[how.predictor] >= RIVALS[how.predictor]:
                continue
            base = self._base_tensor(relative)
            if base is None:
                continue
            plan = Plan(base, how.predictor, how.params, self._profile.coding(dtype))
            bases = bases_of(plan, start, stop - start, dtype)
            if bases is None or bases in seen:
                continue
            seen.add(bases)
            tried[how.predictor] += 1
            yield plan

    def _base_tensor(self, relative: Relative) -> BaseTensor | None:
        """None if its blob cannot be read, or is this one and not that far yet."""
        found = relative.sketch
        if relative.blob == self._blob:
            if found.span not in self._done:
                return None
            runs: Iterable[Base] = self._runs[found.span]
        else:
            recipe = self._recipe(relative.blob)
            if recipe is None:
                return None
            runs = recipe.bases(found.span.start, found.span.stop)
        return BaseTensor(runs, found.dtype, self.parts, self._profile.max_chain)

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

    def _recipe(self, digest: Digest) -> Recipe | None:
        if digest.raw not in self._recipes:
            try:
                self._recipes[digest.raw] = load_recipe(self._backend, digest)
            except (BlobNotFoundError, IntegrityError, UnavailableError):
                self._recipes[digest.raw] = None
        return self._recipes[digest.raw]


def _window(size_bytes: int, dtype: DType) -> tuple[int, int]:
    """What a trial codes of a storage: whole elements from its middle."""
    start = max(0, size_bytes - TRIAL_BYTES) // 2
    start -= start % dtype.block_bytes
    return start, min(start + TRIAL_BYTES // dtype.block_bytes * dtype.block_bytes, size_bytes)
