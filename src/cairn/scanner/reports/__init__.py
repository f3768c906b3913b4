"""Scan reports for machines: our own JSON, and SARIF."""

from cairn.scanner.reports.plain import as_json
from cairn.scanner.reports.sarif import as_sarif

__all__ = ["as_json", "as_sarif"]
