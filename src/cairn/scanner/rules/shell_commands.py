"""Scripts that run what they fetch."""

from collections.abc import Iterator
from typing import ClassVar

from cairn.domain import Finding, Verdict
from cairn.scanner.evidence.base import Evidence
from cairn.scanner.evidence.scripts import ShellCommand
from cairn.scanner.rule import Rule
from cairn.scanner.shell_text import REMOTE_SHELL

_SHOWN_CHARS = 120


class ShellCommands(Rule):
    """A script runs what it fetches or decodes, or gives a shell to another machine.

    `curl ... | sh` runs whatever the other side sends on that day, and what is decoded first is
    hidden from readers. A shell at the end of a network connection is an attack. Scripts,
    Dockerfiles, notebooks and hooks of packages are run by people and by builds, never by a loader:
    read them first, fetch, look at what came, and pin it by its digest. Only these plain forms are
    found; a script without a finding may do anything all the same.
    """

    name: ClassVar[str] = "shell-commands"
    title: ClassVar[str] = "A script that runs what it fetches"
    about: ClassVar[tuple[type[Evidence], ...]] = (ShellCommand,)

    def judge(self, evidence: Evidence) -> Iterator[Finding]:
        """One finding for each command."""
        assert isinstance(evidence, ShellCommand)
        remote = evidence.deed == REMOTE_SHELL
        what = "hands a shell to another machine" if remote else evidence.deed
        yield Finding(
            self.name,
            Verdict.MALICIOUS if remote else Verdict.SUSPICIOUS,
            f"{what}: {evidence.text[:_SHOWN_CHARS]}",
            evidence.place,
            "Read it before it is run; fetch to a file and compare its digest",
        )
