"""What the transparency log says happened."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from cairn.domain.repos import RepoId, is_commit_id
from cairn.errors import RequestError

MAX_DETAILS_BYTES = 8192  # an entry of the log has at most 65,535 bytes, escapes included


class LogKind(StrEnum):
    """Which sort of thing happened."""

    ATTACHED = "attached"
    KEY = "log.key"
    REF = "ref"
    REF_FOUND = "ref.found"
    REPO_DELETED = "repo.delete"
    SCAN_POLICY = "scan_policy"
    WAIVED = "waiver.add"
    WAIVER_REVOKED = "waiver.revoke"


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One thing that happened to a repo, or the hub (`repo` None), and is logged for good.

    A ref was moved from commit `old` (None: it came into being) to `new` (None: it went away).
    `REF_FOUND` says that the hub found a ref at `new` which the log did not tell of; `ATTACHED`
    that a statement, such as a signature, was kept about a revision: `details` say which. `WAIVED`
    and `WAIVER_REVOKED` tell of findings that are let pass, and `SCAN_POLICY` of what becomes of
    files by their scans, in a repo or everywhere. `KEY` names the key that signs the log from now
    on. `at` is when it was done, by the hub's clock; `details` are further facts, digests among
    them.

    Raises:
        RequestError: a ref without repo or commits, a time without a zone, or details of more than
            `MAX_DETAILS_BYTES`.
    """

    kind: LogKind
    repo: RepoId | None
    actor: str
    at: datetime
    ref: str | None = None
    old: str | None = None
    new: str | None = None
    details: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        commits = [commit for commit in (self.old, self.new) if commit is not None]
        no_move = (self.ref is None) != (not commits) or (bool(commits) and self.repo is None)
        if not all(map(is_commit_id, commits)) or no_move:
            raise RequestError(f"{self.ref!r:.120} does not move from {self.old} to {self.new}")
        if self.at.tzinfo is None:
            raise RequestError("the time of a log entry needs a time zone")
        size = sum(len(key.encode()) + len(value.encode()) for key, value in self.details.items())
        if size > MAX_DETAILS_BYTES:
            raise RequestError(f"the details of a log entry have {size} bytes; shorten them")
