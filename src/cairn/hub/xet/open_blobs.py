"""A few blobs held open while files are made of them: reading on costs less than opening."""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from cairn.domain import Digest
from cairn.store import BlobReader, BlobStore

MAX_IDLE = 4  # a reader holds up to 24 MiB of decoded parts


class OpenBlobs:
    """Opens blobs and keeps them open for the next one; may be used from several threads."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self._readers: OrderedDict[Digest, tuple[BlobReader, int]] = OrderedDict()
        self._lock = Lock()

    @contextmanager
    def reading(self, digest: Digest) -> Iterator[BlobReader]:
        """The opened blob, which is not closed meanwhile.

        Raises:
            BlobNotFoundError, IntegrityError: see `BlobStore.open`.
        """
        with self._lock:
            reader, users = self._readers.get(digest) or (self._store.open(digest), 0)
            self._readers[digest] = reader, users + 1
        try:
            yield reader
        finally:
            with self._lock:
                self._readers[digest] = reader, self._readers[digest][1] - 1
                self._readers.move_to_end(digest)
                self._close_idle(MAX_IDLE)

    def close(self) -> None:
        """Close whatever nobody reads."""
        with self._lock:
            self._close_idle(0)

    def _close_idle(self, kept: int) -> None:
        idle = [digest for digest, (_, users) in self._readers.items() if not users]
        for digest in idle[: max(0, len(idle) - kept)]:
            self._readers.pop(digest)[0].close()
