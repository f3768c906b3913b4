"""Scanning: evidence in, findings out; nothing executed, and what was not read is not clean.

What takes files apart is imported when it is first asked for: `cairn scan` leaves that to a
process of its own.
"""

from typing import TYPE_CHECKING

from cairn.late_names import imported_late
from cairn.scanner.judging import judge, judging_version, known_bad, report_of, rules_version
from cairn.scanner.rules import RULES

if TYPE_CHECKING:
    from cairn.scanner.extractors import EXTRACTORS
    from cairn.scanner.scan import extraction_version, gather

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

__getattr__ = imported_late(
    __name__, {"extractors": ("EXTRACTORS",), "scan": ("extraction_version", "gather")}
)
