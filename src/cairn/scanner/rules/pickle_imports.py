"""What pickles import."""

from collections.abc import Iterator
from typing import ClassVar

from cairn.domain import Finding, Verdict
from cairn.scanner.allowed import allowed_names
from cairn.scanner.evidence.base import Evidence
from cairn.scanner.evidence.pickles import ImportedName
from cairn.scanner.rule import Rule


class PickleImports(Rule):
    """The pickle imports something that a tensor checkpoint does not need.

    A pickle is a program: loading it imports the names it gives and calls them with arguments of
    its choice. The names that frameworks write for tensors, optimizers and their settings are on
    a list, each with the reason for which it is harmless. Everything else is at least suspicious,
    since no list of dangerous names can be whole. Load the file only in a sandbox, or have it
    converted: `cairn convert` reads tensors without running anything.
    """

    name: ClassVar[str] = "pickle-imports"
    title: ClassVar[str] = "Imports what no checkpoint needs"
    about: ClassVar[tuple[type[Evidence], ...]] = (ImportedName,)

    def judge(self, evidence: Evidence) -> Iterator[Finding]:
        """One finding for a name that is not on the list."""
        assert isinstance(evidence, ImportedName)
        if evidence.exact and (evidence.module, evidence.name) in allowed_names():
            return
        what = f"{evidence.module}.{evidence.name}"
        message = (
            f"imports {what}" if evidence.exact else f"imports a name that it computes: {what}"
        )
        yield Finding(
            self.name,
            Verdict.SUSPICIOUS,
            message,
            evidence.place,
            "Convert it with `cairn convert`, which reads tensors and runs nothing",
        )
