"""Whether a file may be given out: what was not scanned is held, what is malicious stays here."""

from collections.abc import Callable
from dataclasses import dataclass

from cairn.catalog import RepoRecord, scanned_name
from cairn.domain import Actor, Blob, Entry, ScanPolicy, Verdict
from cairn.errors import BlockedError, UnavailableError
from cairn.workflows.house import House
from cairn.workflows.standing import blob_verdict, verdicts
from cairn.workflows.stored_scans import known_verdicts, names_waiting

MOST_NAMES_NOW = 20
"""Names by which a request scans a blob; more are left to the background."""


@dataclass(frozen=True, slots=True)
class Releasing:
    """What a hub gives out whose settings say `setting`; `scan` scans a blob by a name."""

    house: House
    setting: ScanPolicy
    scan: Callable[[Blob, str], Verdict]

    @property
    def default(self) -> ScanPolicy:
        """The policy of the hub, asked anew each time: administrators may change it."""
        return self.house.catalog.scan_policies.of_hub() or self.setting

    def policy_of(self, uid: str) -> ScanPolicy:
        """The policy that holds for a repo."""
        return self.house.catalog.scan_policies.over(uid, self.setting)

    def is_held(self, actor: Actor, repo: RepoRecord, entry: Entry) -> bool:
        """Whether a file has to be scanned before `actor` may have it."""
        if actor.may_write(repo.id):
            return False
        if known_verdicts(self.house, [entry]):
            return False
        return self.policy_of(repo.uid) is ScanPolicy.HOLD

    def scan_now(self, entry: Entry) -> Verdict:
        """Scan a file that is held.

        Raises:
            BlobNotFoundError, IntegrityError: the store lost or damaged it.
            UnavailableError: it cannot be scanned now.
        """
        return self.scan(entry.blob, scanned_name(entry.path))

    def release(self, repo: RepoRecord, entry: Entry) -> Verdict | None:
        """The verdict on a file that may be given out and is not held; None if there is none yet.

        Raises:
            BlockedError: it is malicious.
        """
        verdict = verdicts(self.house, repo.uid, [entry]).get(entry.path)
        if verdict is None or verdict.rank < Verdict.SUSPICIOUS.rank:
            return verdict  # whatever the policy is
        policy = self.policy_of(repo.uid)
        self._keep_back(policy, verdict, entry.path)
        return None if policy is ScanPolicy.ALLOW else verdict

    def release_blob(self, uid: str, blob: Blob) -> None:
        """Let through bytes of a repo that are asked for without a path, scanned now if need be.

        Raises:
            BlockedError: they are malicious under some name.
            BlobNotFoundError, IntegrityError: the store lost or damaged them.
            UnavailableError: they cannot be scanned now.
        """
        policy = self.policy_of(uid)
        if policy is ScanPolicy.HOLD:
            waiting = names_waiting(self.house, blob.digest)
            if len(waiting) > MOST_NAMES_NOW:
                raise UnavailableError(f"{blob.digest} waits to be scanned by many names")
            for name in waiting:
                self.scan(blob, name)
            verdict = blob_verdict(self.house, uid, blob.digest)
            if verdict is None:
                self.scan(blob, "")
                verdict = blob_verdict(self.house, uid, blob.digest)
            self._keep_back(policy, verdict, blob.digest.hex)

    def refuse_known(self, uid: str, blob: Blob) -> None:
        """Keep back bytes of a repo that a scan found malicious; nothing is scanned.

        Raises:
            BlockedError: they are malicious under some name.
        """
        policy = self.policy_of(uid)
        if policy is ScanPolicy.HOLD:
            self._keep_back(policy, blob_verdict(self.house, uid, blob.digest), blob.digest.hex)

    def _keep_back(self, policy: ScanPolicy, verdict: Verdict | None, what: str) -> None:
        if policy is ScanPolicy.HOLD and verdict is Verdict.MALICIOUS:
            raise BlockedError(f"{what[:200]} is quarantined: its scan found it malicious")
