"""Finds a tensor among stored ones that have their axes in another order, and plans its parts.

A stored sketch has values at places that depend on the number of elements. Where another order of
the axes puts these places, the new tensor is sampled once more for each order that is in use.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from math import isfinite, prod

from cairn.domain import Digest, DType, Source, Span
from cairn.store.arrangements import Arrangement, arrangements
from cairn.store.base_parts import BaseParts
from cairn.store.base_rule import BaseRule
from cairn.store.base_tensor import BaseTensor, GivenBases
from cairn.store.bases import Base
from cairn.store.conversions import Conversion, conversion
from cairn.store.cutting import MAX_PART_BYTES
from cairn.store.deriving import Plan, Way
from cairn.store.kin import Kin
from cairn.store.predictors.then import then_params
from cairn.store.predictors.transpose import TransposeParams
from cairn.store.sampled import Relative
from cairn.store.sketches import sampling_places, take_sketch

# How many of the nearest are tried, and how many that one order of axes has about as near. Of
# quantised ones more: samples do not tell the steps of a training apart.
MOST_TRIED = 2
MOST_QUANTISED = 8


@dataclass(frozen=True, slots=True)
class Rearranged:
    """How parts of a tensor of type `dtype` are made from a base in another arrangement."""

    base: BaseTensor
    arrangement: Arrangement
    conversion: Conversion
    dtype: DType
    rule: BaseRule
    parts: BaseParts
    storage: Span
    worth_share: float = 1.0

    def way(self, start: int, size_bytes: int) -> Way | None:
        """For the part at byte `start`; None if its bases are too many or not allowed."""
        first = start // self.dtype.block_bytes * self.dtype.block_elements
        count = -(-size_bytes // self.dtype.block_bytes) * self.dtype.block_elements
        lengths = self.arrangement.lengths
        low = 0
        if self.arrangement.keeps_first:
            slab = prod(lengths[1:])
            low, high = first // slab, -(-(first + count) // slab)
            lengths = (high - low, *lengths[1:])
            low *= slab
        width = self.base.dtype.block_bytes
        turned = TransposeParams(width, first - low, lengths, self.arrangement.axes)
        if turned.base_bytes > self.rule.most_read * MAX_PART_BYTES:
            return None
        bases = self.base.bases(low * width, low * width + turned.base_bytes)
        if bases is None or not self.rule.permits(self.storage, bases):
            return None
        predictor, params = self._predictor(turned, count)
        deepest = self.rule.deepest(self.storage, predictor)
        given = GivenBases(bases, self.dtype, self.parts, deepest)
        coding = self.rule.profile.coding(self.dtype)
        return Way(Plan(given, predictor, params, coding, self.worth_share), 0)

    def _predictor(self, turned: TransposeParams, count: int) -> tuple[str, bytes]:
        """What turns, and where the types differ converts, so many elements."""
        if self.base.dtype is self.dtype:
            return "transpose", turned.encode()
        made = self.base.dtype
        then, params = self.conversion
        return "then", then_params(
            "transpose", turned.encode(), made, count * made.block_bytes, then, params
        )


@dataclass(frozen=True, slots=True)
class Rearranging:
    """The search for the tensors of one blob; `runs_of` gives the parts of a stored tensor."""

    kin: Kin
    parts: BaseParts
    rule: BaseRule
    runs_of: Callable[[Digest, Span], Iterable[Base] | None]

    def find(
        self, source: Source, span: Span, dtype: DType, shape: tuple[int, ...]
    ) -> list[Rearranged]:
        """Stored tensors that it may be made from, the nearest first."""
        if not self.kin.has_size(prod(shape)):
            return []
        most = MOST_QUANTISED if dtype.is_block_quantised else MOST_TRIED
        found: list[tuple[float, Rearranged]] = []
        places = sampling_places(prod(shape))
        for arrangement in arrangements(shape):
            moved = arrangement.places(places).tolist()
            near = self.kin.nearest(take_sketch(source, span, dtype, moved), self.rule.allowed)
            for relative in islice(near, most):
                made = self._made(relative, arrangement, span, dtype)
                if made is not None:
                    found.append((relative.distance, made))
        found.sort(key=lambda one: one[0])
        return [made for _, made in found[:most]]

    def _made(
        self, relative: Relative, arrangement: Arrangement, span: Span, dtype: DType
    ) -> Rearranged | None:
        """None if the tensor is not near, cannot be turned, or is not to be had."""
        theirs = relative.sketch.dtype
        how = conversion(theirs, dtype)
        deepest = self.rule.deepest(span, "then" if theirs is not dtype else "transpose")
        if (
            how is None
            or not deepest
            or theirs.block_elements > 1
            or not isfinite(relative.distance)
        ):
            return None
        runs = self.runs_of(relative.blob, relative.sketch.span)
        if runs is None:
            return None
        base = BaseTensor(runs, theirs, self.parts, deepest)
        return Rearranged(base, arrangement, how, dtype, self.rule, self.parts, span)
