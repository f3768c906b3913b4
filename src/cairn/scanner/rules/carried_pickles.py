"""Pickles that pickles hold as data."""

from collections.abc import Iterator
from typing import ClassVar

from cairn.domain import Finding, Verdict
from cairn.scanner.evidence.base import Evidence
from cairn.scanner.evidence.pickles import CarriedPickle
from cairn.scanner.imported_names import risk_of_call
from cairn.scanner.rule import Rule


class CarriedPickles(Rule):
    """The pickle holds, as bytes or text, another one that calls what no checkpoint needs.

    Loading the file does not run it, but the bytes are there for the next step: a loader that
    unpickles a field, or a second file that fetches them. Honest checkpoints hold pickles of
    plain values at most. Convert the file, and ask whoever made it what the field is for.
    """

    name: ClassVar[str] = "carried-pickles"
    title: ClassVar[str] = "Holds another pickle as data"
    about: ClassVar[tuple[type[Evidence], ...]] = (CarriedPickle,)

    def judge(self, evidence: Evidence) -> Iterator[Finding]:
        """One finding for a call in it that is not on the list."""
        assert isinstance(evidence, CarriedPickle)
        if risk_of_call(evidence.module, evidence.name) is None:
            return
        yield Finding(
            self.name,
            Verdict.SUSPICIOUS,
            f"holds as {evidence.encoding} a pickle that calls {evidence.module}.{evidence.name}",
            evidence.place,
            "Convert it with `cairn convert`, which keeps tensors only",
        )
