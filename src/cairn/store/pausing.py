"""A wish, kept in the store, that hubs leave raw blobs as they are for now."""

from cairn.store.backends import Backend, ObjectNotFoundError
from cairn.store.backends.base import put_bytes
from cairn.store.keys import PAUSED


class Pause:
    """Begun and ended by people; outlives restarts, and every hub on this store heeds it."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def begin(self) -> bool:
        """Durably ask for it; False if somebody has already."""
        return put_bytes(self._backend, PAUSED, b"")

    def end(self) -> bool:
        """Take the wish back; False if there was none."""
        return self._backend.delete(PAUSED)

    def since_s(self) -> float | None:
        """When it began, in Unix seconds; None if nobody wants one."""
        try:
            return self._backend.info(PAUSED).modified_s
        except ObjectNotFoundError:
            return None
