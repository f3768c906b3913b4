"""Several processes that train together: what each keeps, and how they agree on one checkpoint."""

from cairn.training.ranks.group import Ranks
from cairn.training.ranks.launched import launched_ranks

__all__ = ["Ranks", "launched_ranks"]
