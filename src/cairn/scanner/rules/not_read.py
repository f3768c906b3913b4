"""Content that was not looked into."""

from collections.abc import Iterator
from typing import ClassVar

from cairn.domain import Finding, Verdict
from cairn.scanner.evidence.base import Evidence, Unread
from cairn.scanner.rule import Rule


class NotRead(Rule):
    """Something in the file was not read, and what was not read is not clean.

    The reason says what stopped the scan: a limit, a format nobody here reads, encryption, or a
    crash or time-out of the process that scanned.
    """

    name: ClassVar[str] = "not-read"
    title: ClassVar[str] = "Was not read"
    about: ClassVar[tuple[type[Evidence], ...]] = (Unread,)

    def judge(self, evidence: Evidence) -> Iterator[Finding]:
        """One finding for each part that was not read."""
        assert isinstance(evidence, Unread)
        yield Finding(self.name, Verdict.UNREAD, evidence.reason, evidence.place)
