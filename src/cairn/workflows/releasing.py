"""Whether a file may be given out: what was not scanned is held, what is malicious stays here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from cairn.domain import Actor, Blob, Entry, RepoId, Verdict
from cairn.errors import BlockedError
from cairn.workflows.house import House
from cairn.workflows.stored_scans import known_verdicts, name_of

ScanPolicy = Literal["hold", "warn", "allow"]
"""`hold`: scan before anybody but writers gets a file, keep back what is malicious. `warn`: give
out at once and say what a scan found. `allow`: neither, nothing is scanned."""


@dataclass(frozen=True, slots=True)
class Releasing:
    """The policy of a hub; `scan` scans a blob as a file of a name, now."""

    house: House
    policy: ScanPolicy
    scan: Callable[[Blob, str], Verdict]

    def is_held(self, actor: Actor, repo: RepoId, entry: Entry) -> bool:
        """Whether a file has to be scanned before `actor` may have it."""
        if self.policy != "hold" or actor.may_write(repo.namespace):
            return False
        return self._known(entry) is None

    def scan_now(self, entry: Entry) -> Verdict:
        """Scan a file that is held.

        Raises:
            BlobNotFoundError, IntegrityError: the store lost or damaged it.
            UnavailableError: it cannot be scanned now.
        """
        return self.scan(entry.blob, name_of(entry.path))

    def release(self, entry: Entry) -> Verdict | None:
        """The verdict on a file that may be given out and is not held; None if there is none yet.

        Raises:
            BlockedError: it is malicious.
        """
        verdict = None if self.policy == "allow" else self._known(entry)
        self._keep_back(verdict, entry.path)
        return verdict

    def release_blob(self, blob: Blob) -> None:
        """Let through bytes that are asked for without a path, scanned now if they never were.

        Raises:
            BlockedError: they are malicious under some name.
            BlobNotFoundError, IntegrityError: the store lost or damaged them.
            UnavailableError: they cannot be scanned now.
        """
        if self.policy == "hold":
            verdict = self.house.catalog.blob_scans.verdict_of(blob.digest)
            self._keep_back(verdict or self.scan(blob, ""), blob.digest.hex)

    def _known(self, entry: Entry) -> Verdict | None:
        return known_verdicts(self.house, [entry]).get(entry.path)

    def _keep_back(self, verdict: Verdict | None, what: str) -> None:
        if self.policy == "hold" and verdict is Verdict.MALICIOUS:
            raise BlockedError(f"{what[:200]} is quarantined: its scan found it malicious")
