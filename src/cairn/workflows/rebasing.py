"""Which blobs are read through longer chains than the settings allow: they are made from others.

Chains get too long when a setting changes, when a newer Cairn has another default, and by imports
from a hub with longer ones.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from cairn.domain import Blob
from cairn.errors import BlobNotFoundError, IntegrityError
from cairn.store import Profile
from cairn.workflows.house import House

# Counting reads every recipe and every index.
LOOK_S = 3600.0


@dataclass(slots=True)
class Rebasing:
    """Finds them, the first of a chain first; each is named once in a while."""

    house: House
    profile: Profile
    clock: Callable[[], float] = time.monotonic
    _found: list[Blob] = field(default_factory=list, init=False)
    _next_s: float = field(default=float("-inf"), init=False)

    def next_blob(self) -> Blob | None:
        """What to remake next, if anything."""
        if not self._found and self.clock() >= self._next_s:
            self._found = self._too_deep()
            self._next_s = self.clock() + LOOK_S
        return self._found.pop() if self._found else None

    def _too_deep(self) -> list[Blob]:
        """The last of a chain first; without what somebody had made to be read fast, so deep."""
        store = self.house.store
        deepest = self.profile.max_chain + self.profile.conversions
        fast = store.kept_fast()
        found = []
        for digest in store.oldest_first(store.take_stock().deeper_than(deepest)):
            try:
                if digest not in fast and store.has(
                    digest
                ):  # else it is damaged, and stays as it is
                    found.append(store.blob(digest))
            except (BlobNotFoundError, IntegrityError):
                continue
        return found[::-1]
