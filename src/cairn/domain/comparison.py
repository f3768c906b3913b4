"""What became of the values of a tensor from one checkpoint to another."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RankEstimate:
    """The numerical rank of a difference; None: it is not low, or rounding hides it.

    `sampled_rows` of `rows` were looked at. `energy` is the share of the squared difference,
    0 to 1, that the first `rank` directions hold.
    """

    rank: int | None
    sampled_rows: int
    rows: int
    energy: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """What became of a tensor's values.

    `changed` counts elements with other bits, or with another value where the dtype changed.
    `cast`: every element of the second is the first rounded to the second's dtype. Norms are
    over pairs of finite values; `not_finite` pairs are left out of them.
    """

    elements: int
    changed: int
    cast: bool
    norm_before: float
    norm_after: float
    norm_difference: float
    largest_difference: float
    cosine: float | None
    not_finite: int = 0
    rank: RankEstimate | None = None

    @property
    def equal(self) -> bool:
        """Whether no element changed."""
        return not self.changed

    @property
    def changed_fraction(self) -> float:
        """The share of elements that changed, 0 to 1."""
        return self.changed / self.elements if self.elements else 0.0

    @property
    def relative_change(self) -> float | None:
        """Norm of the difference over the norm before; None where that is zero."""
        if not self.norm_difference:
            return 0.0
        return self.norm_difference / self.norm_before if self.norm_before else None
