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
from cairn.store.cutting import MAX_PART_BYTES
from cairn.store.deriving import Plan, Way
from cairn.store.kin import Kin
from cairn.store.predictors.transpose import TransposeParams
from cairn.store.sketches import sampling_places, take_sketch

# How many of the nearest are tried, and how many that one order of axes has about as near.
MOST_TRIED = 2
MOST_OF_AN_ORDER = 2


@dataclass(frozen=True, slots=True)
class Rearranged:
    """How parts of a tensor are made from a base in another arrangement."""

    base: BaseTensor
    arrangement: Arrangement
    dtype: DType
    rule: BaseRule
    parts: BaseParts
    storage: Span
    worth_share: float = 1.0

    def way(self, start: int, size_bytes: int) -> Way | None:
        """For the part at byte `start`; None if its bases are too many or not allowed."""
        width = self.dtype.block_bytes
        first, last = start // width, -(-(start + size_bytes) // width)
        lengths = self.arrangement.lengths
        low = 0
        if self.arrangement.keeps_first:
            slab = prod(lengths[1:])
            low, high = first // slab, -(-last // slab)
            lengths = (high - low, *lengths[1:])
            low *= slab
        params = TransposeParams(width, first - low, lengths, self.arrangement.axes)
        if params.base_bytes > self.rule.most_read * MAX_PART_BYTES:
            return None
        bases = self.base.bases(low * width, low * width + params.base_bytes)
        if bases is None or not self.rule.permits(self.storage, bases):
            return None
        given = GivenBases(
            bases, self.dtype, self.parts, self.rule.deepest(self.storage, "transpose")
        )
        coding = self.rule.profile.coding(self.dtype)
        return Way(Plan(given, "transpose", params.encode(), coding, self.worth_share), 0)


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
        """The nearest stored tensors of this one's type, the nearest first."""
        deepest = self.rule.deepest(span, "transpose")
        if not deepest or dtype.block_elements > 1 or not self.kin.has_size(prod(shape)):
            return []
        found: list[tuple[float, Rearranged]] = []
        places = sampling_places(prod(shape))
        for arrangement in arrangements(shape):
            moved = arrangement.places(places).tolist()
            near = self.kin.nearest(take_sketch(source, span, dtype, moved), self.rule.allowed)
            for relative in islice(near, MOST_OF_AN_ORDER):
                runs = self.runs_of(relative.blob, relative.sketch.span)
                is_near = isfinite(relative.distance) and relative.sketch.dtype is dtype
                if runs is not None and is_near:
                    base = BaseTensor(runs, dtype, self.parts, deepest)
                    made = Rearranged(base, arrangement, dtype, self.rule, self.parts, span)
                    found.append((relative.distance, made))
        found.sort(key=lambda one: one[0])
        return [made for _, made in found[:MOST_TRIED]]
