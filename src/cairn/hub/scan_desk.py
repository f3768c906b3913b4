"""The hub's one scanning process: the worker and requests take turns at it."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from cairn.catalog.blob_scans import Named
from cairn.domain import Blob, Source, Verdict
from cairn.errors import CairnError
from cairn.scanner.confined import ScanProcess
from cairn.scanner.evidence.base import Evidence
from cairn.workflows.house import House
from cairn.workflows.stored_scans import scan_blob

MOST_FAILURES = 1000

IDLE_S = 60.0
"""A process without work is ended after this: it keeps some 30 MB."""


class ScanDesk:
    """Scans blobs one after the other. May be used from any thread.

    `advance` is called whenever a piece of a file was read, whoever had it scanned.
    """

    def __init__(self, house: House) -> None:
        self.advance: Callable[[], None] = lambda: None
        self._house = house
        self._lock = threading.Lock()
        self._process: ScanProcess | None = None
        self._used_at = 0.0
        self._in_work: Named | None = None
        self._failures: dict[Named, str] = {}

    def is_at(self, blob: Blob, name: str) -> bool:
        """Whether this very file is being scanned by this process."""
        return self._in_work == (blob.digest, name)

    def failure_of(self, blob: Blob, name: str) -> str:
        """Why the last scan of a file could not be made here; empty if none was tried in vain."""
        return self._failures.get((blob.digest, name), "")

    def scan(self, blob: Blob, name: str) -> Verdict:
        """The verdict on a blob as a file of this name, scanned now unless somebody just did.

        Raises:
            BlobNotFoundError, IntegrityError: the store lost or damaged it.
            UnavailableError: no scanning process can be started.
        """
        asked_at = time.monotonic()
        with self._lock:
            if self._used_at > asked_at:  # others had their turn: it may have been the same file
                known = self._house.catalog.blob_scans.verdicts([(blob.digest, name)])
                if known:
                    return known[blob.digest, name]
            self._in_work = named = (blob.digest, name)
            try:
                verdict = scan_blob(self._house, blob, name, self._gather)
            except CairnError as error:
                self._remember(named, str(error))
                raise
            finally:
                self._in_work = None
                self._used_at = time.monotonic()
            self._failures.pop(named, None)
            return verdict

    def _gather(self, source: Source) -> tuple[Evidence, ...]:
        if self._process is None:
            self._process = ScanProcess()
        return self._process.gather(_Watched(source, self.advance))

    def _remember(self, named: Named, reason: str) -> None:
        self._failures[named] = reason
        while len(self._failures) > MOST_FAILURES:
            del self._failures[next(iter(self._failures))]

    def rest(self) -> None:
        """End the process if nobody needed it lately."""
        if time.monotonic() - self._used_at > IDLE_S:
            self.close()

    def close(self) -> None:
        """End the process; the next scan starts another one."""
        with self._lock:
            if self._process is not None:
                self._process.close()
                self._process = None


@dataclass(frozen=True)
class _Watched:
    """A source that says when it is read."""

    source: Source
    advance: Callable[[], None]

    @property
    def name(self) -> str:
        """See `Source.name`."""
        return self.source.name

    @property
    def size_bytes(self) -> int:
        """See `Source.size_bytes`."""
        return self.source.size_bytes

    def read_at(self, offset: int, length: int) -> bytes:
        """See `Source.read_at`."""
        self.advance()
        return self.source.read_at(offset, length)
