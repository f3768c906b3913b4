"""What the catalog hands out of decisions: about scans, and about who may read gated repos."""

from dataclasses import dataclass
from datetime import datetime

from cairn.domain import AccessState, Account, Blob, Digest, RepoId, ScanPolicy

Answers = dict[str, str | bool]
"""What a person answered to the fields of a gate's form, by their labels."""


@dataclass(frozen=True, slots=True)
class RepoPolicy:
    """What was decided for one repo: by administrators in place of the hub's policy, by owners."""

    floor: ScanPolicy | None = None
    wanted: ScanPolicy | None = None

    def over(self, default: ScanPolicy) -> ScanPolicy:
        """What holds on a hub with this policy: owners can only be stricter."""
        return ScanPolicy.strictest(self.floor or default, self.wanted)


@dataclass(frozen=True, slots=True)
class Waiver:
    """A rule's findings in a file that are let pass. `repo_uid` None: in every repo.

    `repo` is None for those of every repo and of repos that are gone.
    """

    id: int
    digest: Digest
    rule: str
    repo_uid: str | None
    repo: RepoId | None
    reason: str
    waived_by: str
    waived_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    revoked_by: str | None = None
    revoke_reason: str | None = None

    def is_live(self, now: datetime) -> bool:
        """Whether it holds."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class Appeal:
    """What an owner says against the verdict on a file. `answer` is None while it is open."""

    id: int
    repo_uid: str
    repo: RepoId
    blob: Blob
    path: str
    text: str
    made_by: str
    made_at: datetime
    answer: str | None
    reason: str | None
    answered_by: str | None
    answered_at: datetime | None


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """How a person stands with a gated repo.

    `was_asked` is False for whoever was let in without having asked. `decided_by` is who decided
    last, None while nobody has: the hub's own decision, where the gate is `auto`, is not one.
    """

    uid: str
    repo_uid: str
    person: Account
    state: AccessState
    was_asked: bool
    asked_at: datetime
    message: str
    answers: Answers
    decided_by: str | None
    decided_at: datetime | None
    reason: str
