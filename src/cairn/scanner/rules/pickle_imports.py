"""What pickles import."""

from collections.abc import Iterator
from typing import ClassVar

from cairn.domain import Finding
from cairn.scanner.evidence.base import Evidence
from cairn.scanner.evidence.pickles import ImportedName
from cairn.scanner.imported_names import risk_of_import
from cairn.scanner.rule import Rule


class PickleImports(Rule):
    """The pickle imports something that a tensor checkpoint does not need.

    A pickle is a program: loading it imports the names it gives and calls them with arguments of
    its choice. The names that frameworks write for tensors, optimizers and their settings are on
    a list, each with the reason for which it is harmless. Everything else is at least suspicious,
    since no list of dangerous names can be whole; it is malicious if the name is computed or
    walks through attributes, or if nothing in its module is of use to a checkpoint. Load the file
    only in a sandbox, or have it converted: `cairn convert` reads tensors without running
    anything.
    """

    name: ClassVar[str] = "pickle-imports"
    title: ClassVar[str] = "Imports what no checkpoint needs"
    version: ClassVar[int] = 3
    about: ClassVar[tuple[type[Evidence], ...]] = (ImportedName,)

    def judge(self, evidence: Evidence) -> Iterator[Finding]:
        """One finding for a name that is not on the list."""
        assert isinstance(evidence, ImportedName)
        risk = risk_of_import(
            evidence.module,
            evidence.name,
            exact=evidence.exact,
            of_script=evidence.of_script,
        )
        if risk is None:
            return
        name = f"{evidence.module}.{evidence.name}" if evidence.exact else "a name"
        yield Finding(
            self.name,
            risk.verdict,
            f"imports {name}, which {risk.reason}",
            evidence.place,
            "Convert it with `cairn convert`, which reads tensors and runs nothing",
        )
