"""What may serve as base for the parts of a blob."""

from cairn.domain import Span
from cairn.store.bases import Base
from cairn.store.kin import Allowed
from cairn.store.profiles import Profile


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
