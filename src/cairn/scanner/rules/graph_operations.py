"""Operations of graphs that do more than compute."""

from collections.abc import Iterator
from typing import ClassVar

from cairn.domain import Finding, Verdict
from cairn.scanner.evidence.base import Evidence
from cairn.scanner.evidence.graphs import GraphOperation
from cairn.scanner.graph_operations import ruling_on
from cairn.scanner.rule import Rule


class GraphOperations(Rule):
    """The graph has an operation that does more than compute on tensors.

    A TensorFlow graph can read and write files, call other machines and run Python when the model
    runs; an ONNX graph can name operators of a library that the file expects to be loaded beside
    it. The operations that compute are on a list; what a file defines itself as a function of
    others is judged by these. Export the model again without the operation that is named.
    """

    name: ClassVar[str] = "graph-operations"
    title: ClassVar[str] = "A graph that does more than compute"
    about: ClassVar[tuple[type[Evidence], ...]] = (GraphOperation,)

    def judge(self, evidence: Evidence) -> Iterator[Finding]:
        """One finding for an operation that is not on the list."""
        assert isinstance(evidence, GraphOperation)
        ruling = ruling_on(evidence.framework, evidence.domain, evidence.name)
        if evidence.defined or (ruling is not None and ruling.harmless):
            return
        name = f"{evidence.domain}.{evidence.name}" if evidence.domain else evidence.name
        if ruling is None:
            verdict, why = Verdict.SUSPICIOUS, "is of a library that is not known"
        else:
            verdict, why = Verdict.MALICIOUS, ruling.reason
        yield Finding(
            self.name,
            verdict,
            f"the operation {name} {why}",
            evidence.place,
            "Export the model again without it",
        )
