"""What graphs of operations would run."""

from dataclasses import dataclass
from typing import ClassVar

from cairn.scanner.evidence.base import Evidence


@dataclass(frozen=True, slots=True)
class GraphOperation(Evidence):
    """An operation of a graph, once for each domain and name; `place` is that of the first.

    `framework` is `onnx` or `tensorflow`; `domain` is ONNX's, empty for its own. `defined`: the
    file says itself, as a function of other operations, what it does.
    """

    kind: ClassVar[str] = "graph-operation"

    framework: str
    domain: str
    name: str
    defined: bool = False
