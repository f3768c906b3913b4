"""What a hub's optimizing is doing, and has done since the hub started."""

import threading
from dataclasses import dataclass, replace
from datetime import datetime

from cairn.domain import Blob
from cairn.errors import CairnError
from cairn.store import Optimized
from cairn.workflows.tally import Tally


@dataclass(frozen=True, slots=True)
class InWork:
    """The blob being rewritten, and how many of its bytes are encoded."""

    blob: Blob
    done_bytes: int = 0

    @property
    def percent(self) -> int:
        """Of the bytes, those encoded: 100 while the blob is read back."""
        return 100 * self.done_bytes // self.blob.size_bytes


@dataclass(frozen=True, slots=True)
class Page:
    """The journal at one moment. `failed` counts blobs and passes that went wrong."""

    since: datetime
    in_work: InWork | None = None
    failed: int = 0
    last_error: str = ""


class Journal:
    """Written by the thread that optimizes, read by any; kept in memory only.

    What is left to do is never read from here: the store knows.
    """

    def __init__(self, since: datetime) -> None:
        self._lock = threading.Lock()
        self._page = Page(since)
        self._tally = Tally()

    def read(self) -> tuple[Page, Tally]:
        """What is going on, and what was done, at one moment."""
        with self._lock:
            return self._page, replace(self._tally)

    def begin(self, blob: Blob) -> None:
        """A blob's turn has come."""
        with self._lock:
            self._page = replace(self._page, in_work=InWork(blob))

    def advance(self, plain_bytes: int) -> None:
        """So much more of the blob in work is encoded."""
        with self._lock:
            work = self._page.in_work
            if work is not None:
                done = min(work.done_bytes + plain_bytes, work.blob.size_bytes)
                self._page = replace(self._page, in_work=replace(work, done_bytes=done))

    def finish(self, done: Optimized) -> None:
        """A blob was looked at."""
        with self._lock:
            self._tally.add(done)

    def fail(self, error: CairnError) -> None:
        """A blob, or the pass, went wrong."""
        with self._lock:
            page = self._page
            self._page = replace(page, failed=page.failed + 1, last_error=str(error))

    def rest(self) -> None:
        """No blob is in work."""
        with self._lock:
            self._page = replace(self._page, in_work=None)
