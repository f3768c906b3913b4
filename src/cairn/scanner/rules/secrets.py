"""Credentials."""

from collections.abc import Iterator
from typing import ClassVar

from cairn.domain import Finding, Verdict
from cairn.scanner.evidence.base import Evidence
from cairn.scanner.evidence.contents import Secret
from cairn.scanner.rule import Rule


class Secrets(Rule):
    """There is a credential in the file.

    Whoever downloads the file can use it. Revoke it where it was issued, then remove it from the
    file: a new revision does not take it out of the history.
    """

    name: ClassVar[str] = "secrets"
    title: ClassVar[str] = "Holds a credential"
    about: ClassVar[tuple[type[Evidence], ...]] = (Secret,)

    def judge(self, evidence: Evidence) -> Iterator[Finding]:
        """One finding for each; the credential itself is not in it."""
        assert isinstance(evidence, Secret)
        yield Finding(
            self.name,
            Verdict.SUSPICIOUS,
            f"what looks like a {evidence.family}: {evidence.shown}",
            evidence.place,
            "Revoke it where it was issued, then remove it",
        )
