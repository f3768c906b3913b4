"""Asking about two trees what is then read in the background, and saying how far that is."""

import time
from collections.abc import Callable
from threading import Lock

from cairn.catalog import Asked, Comparisons, Trees

REPORT_S = 1.0


def ask(kept: Comparisons, trees: Trees, schema: int, total_bytes: int) -> Asked | None:
    """What is known, after asking for it; None where too many wait already."""
    found = kept.get(trees, schema)
    if found is None and kept.ask(trees, schema, total_bytes):
        found = kept.get(trees, schema)
    return found


class Report:
    """Says how far a reading is, from several threads, about once a second."""

    def __init__(
        self, kept: Comparisons, trees: Trees, total_bytes: int, wait: Callable[[], object]
    ) -> None:
        """`wait` is called between tensors and may take its time."""
        self._kept, self._trees, self._wait = kept, trees, wait
        self._total, self._done = total_bytes, 0
        self._next = 0.0
        self._lock = Lock()

    def __call__(self, done_bytes: int) -> None:
        """So many more bytes are done."""
        with self._lock:
            self._done += done_bytes
            if time.monotonic() >= self._next:
                self._next = time.monotonic() + REPORT_S
                self._kept.report(self._trees, self._done, self._total)
        self._wait()
