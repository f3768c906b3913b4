"""What pickles would import, call and leave to their loader."""

from dataclasses import dataclass
from typing import ClassVar

from cairn.scanner.evidence.base import Evidence


@dataclass(frozen=True, slots=True)
class ImportedName(Evidence):
    """A global that a pickle imports.

    `exact` is False where module or name are computed when the pickle runs: then they say what
    is known of them. `extension` is the code of one that goes by the copyreg registry, else -1.
    `of_script`: the pickle is a member of a TorchScript archive, which has classes of its own.
    """

    kind: ClassVar[str] = "imported-name"

    module: str
    name: str
    exact: bool = True
    extension: int = -1
    of_script: bool = False


@dataclass(frozen=True, slots=True)
class CalledName(Evidence):
    """A call by opcode `via`; `exact` is False where what is called is computed.

    `of_script` as for imports. `followed`: what is called unpickles bytes that lie in the file,
    and they were examined as well.
    """

    kind: ClassVar[str] = "called-name"

    module: str
    name: str
    via: str
    exact: bool = True
    of_script: bool = False
    followed: bool = False


@dataclass(frozen=True, slots=True)
class PersistentReference(Evidence):
    """Something that the loader must supply; `id` is its id in words, cut short."""

    kind: ClassVar[str] = "persistent-reference"

    id: str


@dataclass(frozen=True, slots=True)
class Oddity(Evidence):
    """Something no pickler writes, or that unpicklers read differently: `AnomalyKind`'s name."""

    kind: ClassVar[str] = "oddity"

    name: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Expansion(Evidence):
    """Values that are used so often or nested so deep that walking over them never ends.

    `nodes` counts them as often as they are reached.
    """

    kind: ClassVar[str] = "expansion"

    nodes: int
    depth: int


@dataclass(frozen=True, slots=True)
class CarriedPickle(Evidence):
    """A pickle that another one holds as data, in an `encoding` such as `base64`, or `bytes`."""

    kind: ClassVar[str] = "carried-pickle"

    encoding: str
    module: str
    name: str


@dataclass(frozen=True, slots=True)
class PickleEnd(Evidence):
    """How many opcodes a pickle has, up to its end or to where it breaks off."""

    kind: ClassVar[str] = "pickle-end"

    opcodes: int
