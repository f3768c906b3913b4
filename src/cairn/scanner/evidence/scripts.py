"""What the code inside of models calls."""

from dataclasses import dataclass
from typing import ClassVar

from cairn.scanner.evidence.base import Evidence


@dataclass(frozen=True, slots=True)
class ScriptOperator(Evidence):
    """An operator that TorchScript code names, as `namespace::name`."""

    kind: ClassVar[str] = "script-operator"

    name: str
