"""Members of archives whose names lead out."""

from collections.abc import Iterator
from typing import ClassVar

from cairn.domain import Finding, Verdict
from cairn.scanner.evidence.archives import MemberName
from cairn.scanner.evidence.base import Evidence
from cairn.scanner.rule import Rule


class ArchiveNames(Rule):
    """A member of the archive has a name that leads out of the folder it is unpacked to.

    Names such as `../../.bashrc`, `/etc/cron.d/job` or `D:start.bat` make careless programs
    write where the archive wants ("zip slip"). No program that saves checkpoints writes them. Do
    not unpack the archive.
    """

    name: ClassVar[str] = "archive-names"
    title: ClassVar[str] = "Would be unpacked to elsewhere"
    about: ClassVar[tuple[type[Evidence], ...]] = (MemberName,)

    def judge(self, evidence: Evidence) -> Iterator[Finding]:
        """One finding for each name."""
        assert isinstance(evidence, MemberName)
        yield Finding(
            self.name,
            Verdict.MALICIOUS,
            f"a member is named {evidence.name[:200]!r}",
            evidence.place,
            "Do not unpack it",
        )
