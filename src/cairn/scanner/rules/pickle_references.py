"""What pickles leave to their loader."""

from collections.abc import Iterator
from typing import ClassVar

from cairn.domain import Finding, Verdict
from cairn.scanner.evidence.base import Evidence
from cairn.scanner.evidence.pickles import PersistentReference
from cairn.scanner.rule import Rule


class PickleReferences(Rule):
    """The pickle refers to something that its loader must supply, and is no torch checkpoint.

    A persistent id is handed to a function of the loader, and what that makes of it is not in the
    file. torch's archives name their storages so; anywhere else nobody can say what is loaded.
    Load the file only with the program that wrote it.
    """

    name: ClassVar[str] = "pickle-references"
    title: ClassVar[str] = "Refers to what is not in the file"
    about: ClassVar[tuple[type[Evidence], ...]] = (PersistentReference,)

    def judge(self, evidence: Evidence) -> Iterator[Finding]:
        """One finding for each kind of reference."""
        assert isinstance(evidence, PersistentReference)
        yield Finding(
            self.name,
            Verdict.SUSPICIOUS,
            f"refers to {evidence.id!r}, which only its loader knows",
            evidence.place,
            "Load it only with the program that wrote it",
        )
