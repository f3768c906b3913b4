"""What pickles call."""

from collections.abc import Iterator
from typing import ClassVar

from cairn.domain import Finding, Verdict
from cairn.scanner.evidence.base import Evidence
from cairn.scanner.evidence.pickles import CalledName
from cairn.scanner.imported_names import risk_of_call
from cairn.scanner.rule import Rule


class PickleCalls(Rule):
    """The pickle calls something that a tensor checkpoint does not need called.

    A call is worse than an import: it happens while the file is loaded, before anyone has looked
    at what came out, with arguments that the file chose. Functions of the standard library and of
    frameworks that are not on the list reach files, the network and code, so a call of one is
    malicious; so is the call of something that the pickle first computes. Calls of classes that
    nobody knows are suspicious. Do not load the file; `cairn convert` reads tensors and calls
    nothing.
    """

    name: ClassVar[str] = "pickle-calls"
    title: ClassVar[str] = "Calls what no checkpoint needs called"
    version: ClassVar[int] = 3
    about: ClassVar[tuple[type[Evidence], ...]] = (CalledName,)

    def judge(self, evidence: Evidence) -> Iterator[Finding]:
        """One finding for a call that is not on the list."""
        assert isinstance(evidence, CalledName)
        if evidence.exact:
            risk = risk_of_call(
                evidence.module,
                evidence.name,
                evidence.via,
                of_script=evidence.of_script,
                followed=evidence.followed,
            )
            if risk is None:
                return
            verdict, what = risk.verdict, f"{evidence.module}.{evidence.name}, which {risk.reason}"
        else:
            verdict, what = Verdict.MALICIOUS, "something that it computes, which only hides it"
        yield Finding(
            self.name,
            verdict,
            f"calls {what}",
            evidence.place,
            "Do not load it; `cairn convert` reads tensors and calls nothing",
        )
