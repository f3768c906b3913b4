"""Reports as JSON values: the same bytes for the same files, rules and limits, wherever they are.

No time, no machine, no absolute path. Fields are only ever added; a number counts what changes
otherwise.
"""

from typing import Any

from cairn.domain import FileReport, Finding, LoaderFloor, Place, ScanReport, Verdict

FORM = 1

Json = dict[str, Any]


def as_json(report: ScanReport) -> Json:
    """All of a report, files by path."""
    return {
        "form": FORM,
        "rules_version": report.rules_version,
        "advisories_version": report.advisories_version,
        "verdict": report.verdict.value,
        "counts": {verdict.value: _count(report, verdict) for verdict in Verdict},
        "files": [file_json(file) for file in sorted(report.files, key=lambda file: file.path)],
    }


def _count(report: ScanReport, verdict: Verdict) -> int:
    return sum(file.verdict is verdict for file in report.files)


def file_json(file: FileReport) -> Json:
    """The report on one file."""
    return {
        "path": file.path,
        "size_bytes": file.size_bytes,
        "verdict": file.verdict.value,
        "forms": list(file.forms),
        "findings": [_finding(finding) for finding in file.findings],
        "advisories": [floor_json(floor) for floor in file.loaders],
    }


def _finding(finding: Finding) -> Json:
    return {
        "rule": finding.rule,
        "verdict": finding.verdict.value,
        "message": finding.message,
        "place": place_json(finding.place),
        "advice": finding.advice,
        "excerpt": finding.excerpt,
    }


def floor_json(floor: LoaderFloor) -> Json:
    """Which releases of a loader have no known flaw: from one on, or only those after one."""
    return {
        "loader": floor.loader,
        "from_release": floor.from_release or None,
        "after_release": floor.after_release or None,
        "also": list(floor.also),
        "ids": list(floor.advisories),
        "words": f"safe only with {floor}",
    }


def place_json(place: Place) -> Json:
    """A place: `members` lead into archives, `offset` counts bytes in the innermost."""
    return {"members": list(place.members), "offset": place.offset, "pointer": place.pointer}
