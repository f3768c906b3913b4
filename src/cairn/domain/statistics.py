"""What the values of one tensor are like: counts, moments, bins, rank.

All of it is counted over every element, except where a field says otherwise. Moments, extremes
and bins are over the finite values; NaN and infinities are counted beside them.
"""

from dataclasses import dataclass
from enum import Enum

from cairn.errors import MalformedError


class Trouble(Enum):
    """Something about the values of a tensor that is worth a look; the value says it in words."""

    NAN = "NaN"
    INFINITE = "infinite values"
    ALL_ZERO = "all zero"
    CONSTANT = "constant"
    DEAD_ROWS = "dead rows"
    LARGE = "very large values"


@dataclass(frozen=True, slots=True)
class Octave:
    """How many values x have floor(log2 |x|) = `exponent`, by sign.

    The lowest exponent of the type values are counted in (-127, or -1023 for doubles) takes
    everything smaller too. Bins with the same exponent of two tensors may be added.
    """

    exponent: int
    negative: int
    positive: int


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts in equal bins from `low` to `high`, and of the values outside.

    Derived from bins that divide each octave into eight: the sum is exact, where a value
    falls is exact to an eighth of its octave.
    """

    low: float
    high: float
    counts: tuple[int, ...]
    below: int = 0
    above: int = 0


@dataclass(frozen=True, slots=True)
class Spectrum:
    """What the singular values of a matrix say about its rank.

    `effective_rank`: exp of the entropy of the singular values scaled to sum 1 (Roy and
    Vetterli, 2007, https://doi.org/10.5281/zenodo.40464). `stable_rank`: squared Frobenius norm
    over squared largest singular value (Rudelson and Vershynin, 2007,
    https://arxiv.org/abs/math/0503442). `full_rank` is the shorter side.
    """

    effective_rank: float
    stable_rank: float
    full_rank: int


@dataclass(frozen=True, slots=True)
class TensorStatistics:
    """Numbers about all values of one tensor.

    `count` is the number of values: of elements, or twice that for complex tensors, whose parts
    count one by one. `mean`, `std` (of the whole, not of a sample) and `l2_norm` are None where
    there is no finite value or a double cannot hold them; `minimum` and `maximum` of an integer
    tensor are exact. `distinct` counts different values, NaN left out; where it is not exact
    there are more than that. `rows` are runs along the first axis (of a matrix its rows, of a
    convolution its filters), None where a tensor has none; dead ones hold nothing but zeros.
    `spectrum` is None for the reason in `no_spectrum`.

    Raises:
        MalformedError: counts contradict each other.
    """

    count: int
    nans: int = 0
    positive_infinities: int = 0
    negative_infinities: int = 0
    zeros: int = 0
    subnormals: int = 0
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    std: float | None = None
    l2_norm: float | None = None
    distinct: int = 0
    distinct_is_exact: bool = True
    rows: int | None = None
    dead_rows: int = 0
    octaves: tuple[Octave, ...] = ()
    histogram: Histogram | None = None
    spectrum: Spectrum | None = None
    no_spectrum: str = ""

    def __post_init__(self) -> None:
        counts = (self.nans, self.positive_infinities, self.negative_infinities, self.zeros)
        if min(*counts, self.subnormals, self.dead_rows) < 0 or sum(counts) > self.count:
            raise MalformedError(f"counts of {self.count} values contradict each other")

    @property
    def infinities(self) -> int:
        """Infinite values of either sign."""
        return self.positive_infinities + self.negative_infinities

    @property
    def finite(self) -> int:
        """Values that are neither NaN nor infinite."""
        return self.count - self.nans - self.infinities

    @property
    def abs_max(self) -> float | None:
        """Largest finite magnitude."""
        if self.minimum is None or self.maximum is None:
            return None
        return max(abs(self.minimum), abs(self.maximum))

    @property
    def is_all_zero(self) -> bool:
        """Whether there are values and all are zero."""
        return 0 < self.count == self.zeros

    @property
    def is_constant(self) -> bool:
        """Whether several values are all the same finite number."""
        return 1 < self.count == self.finite and self.minimum == self.maximum
