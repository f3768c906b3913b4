"""Members of archives that are encrypted."""

from collections.abc import Iterator
from typing import ClassVar

from cairn.domain import Finding, Verdict
from cairn.scanner.evidence.archives import Encrypted
from cairn.scanner.evidence.base import Evidence
from cairn.scanner.rule import Rule


class ArchiveEncryption(Rule):
    """A member of the archive says that it is encrypted.

    Checkpoints are not encrypted: whoever loads one would need its password. Encryption keeps
    scanners out, and a mark of it on members that are not encrypted stops some readers and not
    others. Ask whoever made the file for one without.
    """

    name: ClassVar[str] = "archive-encryption"
    title: ClassVar[str] = "Is encrypted, or says so"
    about: ClassVar[tuple[type[Evidence], ...]] = (Encrypted,)

    def judge(self, evidence: Evidence) -> Iterator[Finding]:
        """One finding for each member."""
        assert isinstance(evidence, Encrypted)
        yield Finding(
            self.name,
            Verdict.SUSPICIOUS,
            f"the member {evidence.name[:200]!r} says that it is encrypted",
            evidence.place,
            "Get one that is not encrypted",
        )
