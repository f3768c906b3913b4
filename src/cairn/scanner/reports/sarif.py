"""Reports as SARIF 2.1.0, which code hosts and editors show.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

import re
from collections.abc import Callable
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from cairn.domain import FileReport, Finding, ScanReport, Verdict
from cairn.formats.naming import visible
from cairn.plugins import Registry
from cairn.scanner.pages import page_of
from cairn.scanner.rule import Rule
from cairn.scanner.rules import RULES

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)

# A verdict that SARIF has no word for; `properties.verdict` keeps ours.
_LEVELS = {
    Verdict.UNREAD: "warning",
    Verdict.MALFORMED: "warning",
    Verdict.SUSPICIOUS: "warning",
    Verdict.MALICIOUS: "error",
}

# Messages are text in which brackets make links (section 3.11.6) and braces name arguments.
_LINK = re.compile(r"([\\\[\]])")

Json = dict[str, Any]


def as_sarif(
    report: ScanReport,
    tool_version: str,
    rules: Registry[Rule] = RULES,
    waived: Callable[[FileReport, Finding], str | None] = lambda *_: None,
) -> Json:
    """One SARIF log with one run: a result for each finding, an artifact for each file.

    `waived` says why somebody let a finding pass: it becomes a suppressed result.
    """
    files = sorted(report.files, key=lambda file: file.path)
    order = {rule.name: index for index, rule in enumerate(rules)}
    driver = {
        "name": "cairn",
        "version": tool_version,
        "rules": [_rule(rule) for rule in rules],
        "properties": {
            "rulesVersion": report.rules_version,
            "advisoriesVersion": report.advisories_version,
        },
    }
    run = {
        "tool": {"driver": driver},
        "artifacts": [_artifact(file) for file in files],
        "results": [
            _result(finding, file, index, order, waived(file, finding))
            for index, file in enumerate(files)
            for finding in file.findings
        ],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(rule: Rule) -> Json:
    page = page_of(rule)
    return {
        "id": rule.name,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": page.summary},
        "help": {"text": page.text},
    }


def _artifact(file: FileReport) -> Json:
    return {
        "location": {"uri": _uri(file.path)},
        "length": file.size_bytes,
        "properties": {"verdict": file.verdict.value, "forms": list(file.forms)},
    }


def _result(
    finding: Finding, file: FileReport, index: int, order: dict[str, int], waived: str | None
) -> Json:
    place = finding.place
    physical: Json = {"artifactLocation": {"uri": _uri(file.path), "index": index}}
    if place.offset is not None and not place.members:
        physical["region"] = {"byteOffset": place.offset}
    location: Json = {"physicalLocation": physical}
    if place.members or place.pointer:
        location["logicalLocations"] = [{"fullyQualifiedName": visible(str(place))}]
    where = f" ({place})" if place.members or place.pointer or place.offset is not None else ""
    advice = f". {finding.advice}" if finding.advice else ""
    suppressed: Json = {}
    if waived is not None:
        suppressed["suppressions"] = [
            {"kind": "external", "status": "accepted", "justification": visible(waived)}
        ]
    return {
        **suppressed,
        "ruleId": finding.rule,
        "ruleIndex": order.get(finding.rule, -1),  # -1: a rule of another version
        "level": _LEVELS[finding.verdict],
        "message": {"text": _text(f"{finding.message}{where}{advice}")},
        "locations": [location],
        "partialFingerprints": {"finding/v1": _fingerprint(finding, file)},
        "properties": {"verdict": finding.verdict.value},
    }


def _fingerprint(finding: Finding, file: FileReport) -> str:
    """The same finding in another version of a file: everything but offsets."""
    parts = (finding.rule, file.path, *finding.place.members, finding.place.pointer)
    return sha256("\0".join((*parts, finding.message)).encode("utf-8", "replace")).hexdigest()


def _uri(path: str) -> str:
    return quote(path, safe="/", errors="replace")


def _text(words: str) -> str:
    escaped = _LINK.sub(r"\\\1", visible(words))
    return escaped.replace("{", "{{").replace("}", "}}")
