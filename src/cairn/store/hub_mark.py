"""A mark, kept in the store, that a hub's revisions need its blobs: names alone do not say all."""

from contextlib import suppress

from cairn.errors import UnavailableError
from cairn.store.backends import Backend
from cairn.store.backends.base import put_bytes
from cairn.store.keys import HUB


class HubMark:
    """Whether the store is one of a hub; whoever knows only its names must free nothing there."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def leave(self) -> None:
        """Mark the store; where the disk takes no mark, gc must run all the same."""
        if not self.is_there():
            with suppress(UnavailableError):
                put_bytes(self._backend, HUB, b"")

    def is_there(self) -> bool:
        """Whether a hub was ever opened on this store."""
        return self._backend.exists(HUB)
