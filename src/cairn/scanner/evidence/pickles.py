"""What pickles would import, call and leave to their loader."""

from dataclasses import dataclass
from typing import ClassVar

from cairn.scanner.evidence.base import Evidence


@dataclass(frozen=True, slots=True)
class ImportedName(Evidence):
    """A global that a pickle imports.

    `exact` is False where module or name are computed when the pickle runs: then they say what
    is known of them. `extension` is the code of one that goes by the copyreg registry, else -1.
    """

    kind: ClassVar[str] = "imported-name"

    module: str
    name: str
    exact: bool = True
    extension: int = -1


@dataclass(frozen=True, slots=True)
class CalledName(Evidence):
    """A call of a global, by opcode `via`; `arguments` describes them in words, cut short."""

    kind: ClassVar[str] = "called-name"

    module: str
    name: str
    via: str
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class Oddity(Evidence):
    """Something no pickler writes, or that unpicklers read differently: `AnomalyKind`'s name."""

    kind: ClassVar[str] = "oddity"

    name: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PickleEnd(Evidence):
    """How a pickle ended: whole, or broken off by `problem`, after what it did before."""

    kind: ClassVar[str] = "pickle-end"

    opcodes: int
    problem: str = ""
