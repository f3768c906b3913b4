"""What a hub on another machine says of the files of a revision, as a scan reports it.

Nothing is scanned here: whoever asks believes the hub. What the hub did not scan is unread, and
what it waived does not count.
"""

from typing import Any

from cairn.domain import Digest, FileReport, Finding, Place, RepoId, ScanReport, Verdict
from cairn.errors import CairnError, MalformedError
from cairn.hub.remote import RemoteHub

MOST_FILES = 1_000_000


def remote_report(hub: RemoteHub, repo: RepoId, revision: str) -> ScanReport:
    """The hub's report on all files of a revision.

    Raises:
        NotFoundError: there is none for the owner of the token.
        UnavailableError: the hub does not answer. MalformedError: it answers nonsense.
    """
    files: list[FileReport] = []
    while True:
        told = hub.security(repo, revision, len(files))
        revision = str(told.get("commit") or revision)  # the branch may move between two pages
        try:
            page = [_file(one) for one in told["files"]]
            total, rules = int(told["total"]), str(told["rules_version"])
        except (KeyError, TypeError, ValueError, AttributeError, CairnError):
            raise MalformedError("no report on a revision", source=str(repo)) from None
        files += page
        if len(files) >= min(total, MOST_FILES):
            return ScanReport(rules, tuple(files))
        if not page:
            raise MalformedError("a report that does not end", source=str(repo))


def _file(told: dict[str, Any]) -> FileReport:
    if told["state"] != "scanned":
        reason = told["failure"] or f"the hub has not scanned it: {told['state']}"
        findings = [Finding("not-read", Verdict.UNREAD, reason, Place())]
    else:
        findings = [_finding(one) for one in told["findings"] if one["waiver"] is None]
    report = FileReport(
        path=str(told["path"]),
        size_bytes=int(told["size_bytes"]),
        forms=tuple(map(str, told["forms"])),
        findings=tuple(findings),
        digest=Digest.sha256(told["sha256"]),
    )
    verdict = Verdict(told["verdict"] or "unread")
    if report.verdict.rank >= verdict.rank:
        return report
    # More was found than the hub lists.
    more = Finding("not-read", verdict, "the hub found more than it lists", Place())
    return FileReport(
        report.path, report.size_bytes, report.forms, (*report.findings, more), report.digest
    )


def _finding(told: dict[str, Any]) -> Finding:
    place = told["place"]
    offset = None if place["offset"] is None else int(place["offset"])
    return Finding(
        rule=str(told["rule"]),
        verdict=Verdict(told["verdict"]),
        message=str(told["message"]),
        place=Place(tuple(map(str, place["members"])), offset, str(place["pointer"])),
        advice=str(told["advice"]),
        excerpt=str(told["excerpt"]),
    )
