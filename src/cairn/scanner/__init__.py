"""Scanning: evidence in, findings out; nothing executed, and what was not read is not clean."""

from cairn.scanner.extractors import EXTRACTORS
from cairn.scanner.rules import RULES
from cairn.scanner.scan import (
    extraction_version,
    gather,
    judge,
    judging_version,
    known_bad,
    report_of,
    rules_version,
)

__all__ = [
    "EXTRACTORS",
    "RULES",
    "extraction_version",
    "gather",
    "judge",
    "judging_version",
    "known_bad",
    "report_of",
    "rules_version",
]
