"""What a run of optimize did, in numbers."""

from dataclasses import dataclass

from cairn.store import Optimized


@dataclass(slots=True)
class Tally:
    """Blobs looked at, their plain bytes, and the bytes newly written for them or left as they lay.

    What was encoded of a blob by a run that ended in its middle is counted by no run.
    """

    blobs: int = 0
    plain_bytes: int = 0
    stored_bytes: int = 0

    def add(self, done: Optimized) -> None:
        """Count a blob; one that somebody else rewrote meanwhile is not ours."""
        if done.stored_before:
            self.blobs += 1
            self.plain_bytes += done.blob.size_bytes
            self.stored_bytes += done.stored_after

    @property
    def saved_bytes(self) -> int:
        """What the blobs take less than before."""
        return self.plain_bytes - self.stored_bytes
