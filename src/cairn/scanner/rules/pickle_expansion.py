"""Pickles whose values never end."""

from collections.abc import Iterator
from typing import ClassVar

from cairn.domain import Finding, Verdict
from cairn.scanner.evidence.base import Evidence
from cairn.scanner.evidence.pickles import Expansion
from cairn.scanner.rule import Rule


class PickleExpansion(Rule):
    """The pickle makes a value that takes forever to walk over, or a stack to overflow.

    Lists that hold another list many times, level upon level, are small in the file and endless
    to print, copy or compare; lists nested a hundred thousand deep crash programs that recurse.
    No checkpoint needs either. Do not load the file.
    """

    name: ClassVar[str] = "pickle-expansion"
    title: ClassVar[str] = "Makes values without end"
    about: ClassVar[tuple[type[Evidence], ...]] = (Expansion,)

    def judge(self, evidence: Evidence) -> Iterator[Finding]:
        """One finding."""
        assert isinstance(evidence, Expansion)
        yield Finding(
            self.name,
            Verdict.MALFORMED,
            f"makes {evidence.nodes} values nested {evidence.depth} deep",
            evidence.place,
            "Do not load it",
        )
