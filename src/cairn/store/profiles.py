"""What a blob is kept for: to be read fast, or to take little space."""

from dataclasses import dataclass, replace
from typing import Self

from cairn.domain import DType
from cairn.store.residual import EXACT, codings_for

CONVERTING = frozenset({"cast", "cast-f8", "columns", "quantise", "then", "transpose"})


@dataclass(frozen=True, slots=True)
class Profile:
    """How parts that are made from others may be kept."""

    name: str
    # Each level is one more part to decode for a byte read. A chain that is this long begins
    # anew from the part it began with.
    max_chain: int
    # Casts, quantisations and what was cut out or turned may lie so many levels deeper: of what is
    # deep they are exact, and of where its chain began they are not. Chains of `same` do not go on
    # from there.
    conversions: int
    quick: bool

    def up_to(self, max_chain: int) -> Self:
        """The same with parts at most so deep."""
        return replace(self, max_chain=max_chain)

    def deepest(self, predictor: str) -> int:
        """How deep a part may lie that is made by this predictor."""
        return self.max_chain + (self.conversions if predictor in CONVERTING else 0)

    def suits(self, predictor: str, depth: int, coding: int | None, dtype: DType | None) -> bool:
        """Whether a part so deep, with its residual in this coding (None: none), may stay."""
        if depth > self.deepest(predictor):
            return False
        return not self.quick or coding in (None, EXACT, self.coding(dtype))

    def coding(self, dtype: DType | None) -> int:
        """How differences of this type are kept."""
        codings = codings_for(dtype)
        return codings[0] if self.quick else codings[-1]


FAST = Profile("fast", max_chain=1, conversions=0, quick=True)
# Each chain begins with a difference to a distant step, which is up to a tenth larger: a fifth of
# that is left per step, and three parts are read for one on average.
SMALL = Profile("small", max_chain=5, conversions=1, quick=False)

PROFILES = {profile.name: profile for profile in (FAST, SMALL)}
