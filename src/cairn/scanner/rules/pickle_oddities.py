"""What no pickler writes."""

from collections.abc import Iterator, Mapping
from typing import ClassVar

from cairn.domain import Finding, Verdict
from cairn.formats.pickle_program import AnomalyKind
from cairn.scanner.evidence.base import Evidence
from cairn.scanner.evidence.pickles import Oddity
from cairn.scanner.rule import Rule

# Kinds not listed here say nothing by themselves: imports and calls are judged by other rules, and
# strings of Python 2 are told apart below.
_VERDICTS: Mapping[AnomalyKind, Verdict] = {
    AnomalyKind.FRAME_CROSSED: Verdict.MALICIOUS,
    AnomalyKind.EXTENSION: Verdict.MALICIOUS,
    AnomalyKind.TARGET_MISMATCH: Verdict.MALICIOUS,
    AnomalyKind.ARGUMENTS_COMPUTED: Verdict.SUSPICIOUS,
    AnomalyKind.BUFFER_OUT_OF_BAND: Verdict.SUSPICIOUS,
    AnomalyKind.FRAME_NESTED: Verdict.MALFORMED,
    AnomalyKind.FRAME_PAST_END: Verdict.MALFORMED,
    AnomalyKind.PROTOCOL_UNKNOWN: Verdict.MALFORMED,
    AnomalyKind.PROTOCOL_MOVED: Verdict.MALFORMED,
    AnomalyKind.LITERAL_DISPUTED: Verdict.MALFORMED,
    AnomalyKind.TEXT_UNDECODABLE: Verdict.MALFORMED,
    AnomalyKind.MEMO_HUGE_INDEX: Verdict.MALFORMED,
    AnomalyKind.MEMO_REPLACED: Verdict.MALFORMED,
    AnomalyKind.LEFTOVER_STACK: Verdict.MALFORMED,
}

# Python 2 wrote bytes so; all readers agree on how many there are.
_HARMLESS = (AnomalyKind.LITERAL_DISPUTED, "8-bit string")


class PickleOddities(Rule):
    """The pickle holds what no pickler writes, or what unpicklers read differently.

    Frames that opcodes reach across, state given to a function, codes that only the loading
    process can resolve: such things are written by hand, to show a scanner another program than
    the one that runs, or to corrupt the memory of a loader. Milder ones - numbers in odd spelling,
    values left over - make a file that one reader takes and another refuses. Get the file from
    elsewhere or have it saved again.
    """

    name: ClassVar[str] = "pickle-oddities"
    title: ClassVar[str] = "Holds what no pickler writes"
    about: ClassVar[tuple[type[Evidence], ...]] = (Oddity,)

    def judge(self, evidence: Evidence) -> Iterator[Finding]:
        """One finding for an oddity that matters by itself."""
        assert isinstance(evidence, Oddity)
        kind = AnomalyKind[evidence.name]
        verdict = _VERDICTS.get(kind)
        if verdict is None or (kind, evidence.detail) == _HARMLESS:
            return
        detail = f": {evidence.detail}" if evidence.detail else ""
        yield Finding(
            self.name,
            verdict,
            f"{kind.value}{detail}",
            evidence.place,
            "Have it saved again by the framework that made it",
        )
