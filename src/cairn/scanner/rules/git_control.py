"""Files that steer git."""

from collections.abc import Iterator
from typing import ClassVar

from cairn.domain import Finding, Verdict
from cairn.scanner.evidence.base import Evidence
from cairn.scanner.evidence.contents import GitControl
from cairn.scanner.rule import Rule


class GitControls(Rule):
    """The file steers git instead of holding content.

    A pointer in place of weights means that what is loaded is decided elsewhere; filters, modules
    and hooks have git run commands for whoever checks the repo out.
    """

    name: ClassVar[str] = "git-control"
    title: ClassVar[str] = "Steers git"
    about: ClassVar[tuple[type[Evidence], ...]] = (GitControl,)

    def judge(self, evidence: Evidence) -> Iterator[Finding]:
        """One finding for each."""
        assert isinstance(evidence, GitControl)
        advice = "Fetch the content with `git lfs pull`, or delete the file"
        yield Finding(self.name, Verdict.SUSPICIOUS, evidence.what, evidence.place, advice)
