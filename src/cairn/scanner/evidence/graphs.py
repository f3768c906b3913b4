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


@dataclass(frozen=True, slots=True)
class ExternalData(Evidence):
    """Tensors of a model lie in another file, up to its byte `end`; once for each file.

    `place` is that of the first of them. Whether the file is there, who has both can say.
    """

    kind: ClassVar[str] = "external-data"

    location: str
    end: int
