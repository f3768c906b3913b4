"""Files that somebody reported."""

from collections.abc import Iterator
from typing import ClassVar

from cairn.domain import Finding, Verdict
from cairn.scanner.evidence.base import Evidence
from cairn.scanner.evidence.contents import KnownBad
from cairn.scanner.rule import Rule


class KnownFiles(Rule):
    """The file is on a list of files known to be bad.

    Whoever runs this hub, or you on this machine, imported a list of SHA-256 digests (`cairn
    advisories import`), and this file has one of them: it is byte for byte the file that was
    reported, whatever its name is. The list says why and who says so. Do not load it, and look
    at the machines that did. If the list is wrong, `cairn advisories forget` takes the entry
    out.
    """

    name: ClassVar[str] = "known-files"
    title: ClassVar[str] = "Is a file known to be bad"
    about: ClassVar[tuple[type[Evidence], ...]] = (KnownBad,)

    def judge(self, evidence: Evidence) -> Iterator[Finding]:
        """One finding for each entry."""
        assert isinstance(evidence, KnownBad)
        yield Finding(
            self.name,
            Verdict.MALICIOUS,
            f"known to be bad: {evidence.reason} (says {evidence.source})",
            evidence.place,
            "Do not load it; look at the machines that did",
        )
