"""Scanning: evidence in, findings out; nothing executed, and what was not read is not clean.

What takes files apart is imported when it is first asked for: `cairn scan` leaves that to a
process of its own.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

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

_LATER = {
    "EXTRACTORS": "cairn.scanner.extractors",
    "extraction_version": "cairn.scanner.scan",
    "gather": "cairn.scanner.scan",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), name)
