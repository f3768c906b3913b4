"""How files stand in a repo: what scans found in them, less what administrators let pass there."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cairn.catalog import KeptScan, Waiver
from cairn.domain import Digest, Entry, FileReport, Finding, Verdict
from cairn.workflows.house import House
from cairn.workflows.stored_scans import (
    known_scans,
    known_verdicts,
    report_on,
    reports_of_blob,
)


@dataclass(frozen=True, slots=True)
class Standing:
    """A scanned file of a repo; `waivers` are those that hold for it, by rule."""

    entry: Entry
    scan: KeptScan
    report: FileReport
    waivers: Mapping[str, Waiver]

    @property
    def verdict(self) -> Verdict:
        """That of the worst finding that counts."""
        return _worst(self.report, self.waivers)

    def waiver_of(self, finding: Finding) -> Waiver | None:
        """What lets a finding pass; None: it counts."""
        return self.waivers.get(finding.rule)


def verdicts(house: House, uid: str, entries: Iterable[Entry]) -> dict[str, Verdict]:
    """The verdicts on those files of a repo that were scanned, by path."""
    listed = list(entries)
    found = known_verdicts(house, listed)
    troubled = [one for one in listed if found.get(one.path, Verdict.CLEAN) is not Verdict.CLEAN]
    live = house.catalog.waivers.live([one.blob.digest for one in troubled], uid)
    waived = [one for one in troubled if one.blob.digest in live]
    for path, standing in standings(house, uid, waived).items():
        found[path] = standing.verdict
    return found


def standings(house: House, uid: str, entries: Iterable[Entry]) -> dict[str, Standing]:
    """All that is known of those files of a repo that were scanned, by path."""
    by_path = {entry.path: entry for entry in entries}
    scans = known_scans(house, by_path.values())
    live = house.catalog.waivers.live([scan.digest for scan in scans.values()], uid)
    return {
        path: Standing(
            entry=by_path[path],
            scan=scan,
            report=report_on(house, scan, path, by_path[path].blob.size_bytes),
            waivers=_by_rule(live.get(scan.digest, ())),
        )
        for path, scan in scans.items()
    }


def blob_verdict(house: House, uid: str, digest: Digest) -> Verdict | None:
    """The worst verdict on a blob of a repo under any name; None if it was never scanned."""
    verdict = house.catalog.blob_scans.verdict_of(digest)
    if verdict is None or verdict is Verdict.CLEAN:
        return verdict
    waivers = _by_rule(house.catalog.waivers.live([digest], uid).get(digest, ()))
    if not waivers:
        return verdict
    reports = reports_of_blob(house, digest)
    return Verdict.worst(_worst(report, waivers) for report in reports)


def _by_rule(waivers: Iterable[Waiver]) -> dict[str, Waiver]:
    return {one.rule: one for one in waivers}


def _worst(report: FileReport, waivers: Mapping[str, Waiver]) -> Verdict:
    return Verdict.worst(one.verdict for one in report.findings if one.rule not in waivers)
