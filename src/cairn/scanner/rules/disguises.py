"""Names of files that lie."""

from collections.abc import Iterator
from typing import ClassVar

from cairn.domain import Finding, Verdict
from cairn.scanner.evidence.base import Evidence
from cairn.scanner.evidence.contents import Disguise
from cairn.scanner.rule import Rule


class Disguises(Rule):
    """The name of the file promises another form than it has.

    `.safetensors` and `.gguf` are trusted because they cannot run anything. A pickle under such a
    name passes whoever goes by names and runs with whoever goes by content. Give the file the
    name of what it is, or convert it: `cairn convert`.
    """

    name: ClassVar[str] = "disguises"
    title: ClassVar[str] = "The name says another form"
    about: ClassVar[tuple[type[Evidence], ...]] = (Disguise,)

    def judge(self, evidence: Evidence) -> Iterator[Finding]:
        """Malicious if the content could run something."""
        assert isinstance(evidence, Disguise)
        runs = evidence.found in ("a pickle", "a zip archive")
        yield Finding(
            self.name,
            Verdict.MALICIOUS if runs else Verdict.SUSPICIOUS,
            f"the name says {evidence.promised}, the file begins as {evidence.found}",
            evidence.place,
            "Convert it to the form its name says: `cairn convert`",
        )
