"""Content that breaks the rules of its format."""

from collections.abc import Iterator
from typing import ClassVar

from cairn.domain import Finding, Verdict
from cairn.scanner.evidence.base import Broken, Evidence
from cairn.scanner.rule import Rule


class Malformed(Rule):
    """The file breaks the rules of its own format.

    Loaders differ in what they make of such a file: one stops, another goes on with bytes that a
    scanner never saw. Ask whoever made the file for another copy, or convert it from its source.
    """

    name: ClassVar[str] = "malformed"
    title: ClassVar[str] = "Breaks the rules of its format"
    about: ClassVar[tuple[type[Evidence], ...]] = (Broken,)

    def judge(self, evidence: Evidence) -> Iterator[Finding]:
        """One finding for each break."""
        assert isinstance(evidence, Broken)
        yield Finding(
            self.name,
            Verdict.MALFORMED,
            evidence.problem,
            evidence.place,
            "Get the file again from where it was made",
        )
