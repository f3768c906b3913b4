"""What may serve as base for the parts of a blob."""

from cairn.domain import Span
from cairn.store.bases import Base
from cairn.store.kin import Allowed
from cairn.store.profiles import Profile

# How many bytes of bases may be read for one of a part: a sixteenth of the columns is cut out of
# whole rows, and a few more. Where reading has to be fast, only halves are.
MOST_READ = 18.0
MOST_READ_QUICKLY = 2.5


class BaseRule:
    """What may serve as base: for a new blob anything, since nothing is made from it yet."""

    allowed: Allowed | None = None
    """Which blobs; None: all."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile

    def permits(self, span: Span, bases: tuple[Base, ...]) -> bool:
        """Whether the parts of a storage may be made from these."""
        del span, bases
        return True

    def deepest(self, span: Span, predictor: str) -> int:
        """How deep the parts of a storage may be that are made by this predictor."""
        del span
        return self.profile.deepest(predictor)

    @property
    def most_read(self) -> float:
        """How many bytes of bases may be read for one of a part."""
        return MOST_READ_QUICKLY if self.profile.quick else MOST_READ
