"""Text that acts where plain words belong."""

from collections.abc import Iterator
from typing import ClassVar

from cairn.domain import Finding, Verdict
from cairn.scanner.evidence.base import Evidence
from cairn.scanner.evidence.contents import ActiveText
from cairn.scanner.rule import Rule


class ActiveTexts(Rule):
    """There is markup or a command where plain words belong.

    Pages that show metadata or images without care would run it in the browser of whoever looks
    at them. A command in base64 or spelled backwards waits for something that decodes it, and is
    hidden from whoever reads the file. Delete it; no model needs it.
    """

    name: ClassVar[str] = "active-text"
    title: ClassVar[str] = "Text that acts"
    about: ClassVar[tuple[type[Evidence], ...]] = (ActiveText,)

    def judge(self, evidence: Evidence) -> Iterator[Finding]:
        """One finding for each."""
        assert isinstance(evidence, ActiveText)
        yield Finding(
            self.name, Verdict.SUSPICIOUS, evidence.what, evidence.place, "Delete this text"
        )
