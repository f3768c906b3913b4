"""What a hub can say of the safety of a revision: its files, how they stand, what is not known."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from cairn.catalog import RepoRecord, scanned_name
from cairn.domain import Blob, Entry, Place, Revision, ScanPolicy, ScanReport, Verdict
from cairn.scanner import report_of, rules_version
from cairn.scanner.evidence.base import Unread
from cairn.workflows.house import House
from cairn.workflows.standing import Standing, standings, verdicts


class ScanState(StrEnum):
    """How far the scan of a file is. Only `SCANNED` can be clean."""

    SCANNED = "scanned"
    QUEUED = "queued"
    SCANNING = "scanning"
    FAILED = "failed"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class DeskView:
    """What the scanning process of a hub is at: files by blob and name."""

    is_at: Callable[[Blob, str], bool]
    failure_of: Callable[[Blob, str], str]


@dataclass(frozen=True, slots=True)
class FileSecurity:
    """One file; `standing` is None while no scan of it is kept, `failure` says why one failed."""

    entry: Entry
    state: ScanState
    standing: Standing | None
    failure: str = ""

    @property
    def verdict(self) -> Verdict | None:
        """The verdict that counts; None if there is none."""
        return None if self.standing is None else self.standing.verdict


@dataclass(frozen=True, slots=True)
class RevisionSecurity:
    """How all files of a revision stand: `verdicts` has those that were scanned, by path."""

    repo: RepoRecord
    revision: Revision
    policy: ScanPolicy
    entries: Sequence[Entry]
    verdicts: dict[str, Verdict]

    @property
    def unscanned(self) -> int:
        """Files without a scan."""
        return len(self.entries) - len(self.verdicts)

    @property
    def verdict(self) -> Verdict | None:
        """That of the worst file; None as long as it would be clean and not all were scanned."""
        worst = Verdict.worst(self.verdicts.values())
        return None if worst is Verdict.CLEAN and self.unscanned else worst

    def count(self, verdict: Verdict | None) -> int:
        """Files of this verdict; None: files without a scan."""
        if verdict is None:
            return self.unscanned
        return sum(one is verdict for one in self.verdicts.values())

    def chosen(self, wanted: Sequence[Verdict | None]) -> list[Entry]:
        """The files with one of these verdicts, the worst first, then by path."""
        found = [one for one in self.entries if self.verdicts.get(one.path) in wanted]
        return sorted(found, key=lambda one: (-self._urgency(one.path), one.path))

    def _urgency(self, path: str) -> float:
        verdict = self.verdicts.get(path)
        return 0.5 if verdict is None else verdict.rank  # before what is clean


def security_of(
    house: House, repo: RepoRecord, revision: Revision, default: ScanPolicy
) -> RevisionSecurity:
    """How the files of a revision stand, on a hub with this policy."""
    entries = list(house.catalog.history.manifest(revision.tree).entries.values())
    return RevisionSecurity(
        repo=repo,
        revision=revision,
        policy=house.catalog.scan_policies.of(repo.uid).over(default),
        entries=entries,
        verdicts=verdicts(house, repo.uid, entries),
    )


def files_of(
    house: House, uid: str, policy: ScanPolicy, entries: Sequence[Entry], desk: DeskView
) -> list[FileSecurity]:
    """All that is known of some files of a repo, in their order."""
    known = standings(house, uid, entries)
    return [_file(house, policy, one, known.get(one.path), desk) for one in entries]


def _file(
    house: House, policy: ScanPolicy, entry: Entry, standing: Standing | None, desk: DeskView
) -> FileSecurity:
    if standing is not None:
        return FileSecurity(entry, ScanState.SCANNED, standing)
    name = scanned_name(entry.path)
    if desk.is_at(entry.blob, name):
        return FileSecurity(entry, ScanState.SCANNING, None)
    failure = desk.failure_of(entry.blob, name)
    if not house.store.has(entry.blob.digest):
        failure = "what is stored of it is lost or damaged"
    if failure:
        return FileSecurity(entry, ScanState.FAILED, None, failure)
    state = ScanState.OFF if policy is ScanPolicy.ALLOW else ScanState.QUEUED
    return FileSecurity(entry, state, None)


def as_scan_report(files: Sequence[FileSecurity]) -> ScanReport:
    """The same as scans report it; what was not scanned is unread."""
    reports = [
        one.standing.report
        if one.standing is not None
        else report_of(
            one.entry.path, one.entry.blob.size_bytes, (Unread(Place(), _why_unread(one)),)
        )
        for one in files
    ]
    return ScanReport(rules_version(), tuple(reports))


def _why_unread(file: FileSecurity) -> str:
    if file.state is ScanState.FAILED:
        return f"the scan failed: {file.failure}"
    return "the hub has not scanned it"
