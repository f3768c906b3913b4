"""What settings (JSON, YAML) name that a loader would import or make."""

from dataclasses import dataclass
from typing import ClassVar

from cairn.scanner.evidence.base import Evidence


@dataclass(frozen=True, slots=True)
class NamedCode(Evidence):
    """A setting that names code: `key` is the setting, `target` what it names."""

    kind: ClassVar[str] = "named-code"

    key: str
    target: str


@dataclass(frozen=True, slots=True)
class KerasObject(Evidence):
    """An object that Keras would make of its configuration.

    `function` is the name of a function that is referred to; `registered` the name under which a
    class of the user's own was registered.
    """

    kind: ClassVar[str] = "keras-object"

    module: str
    class_name: str
    function: str = ""
    registered: str = ""


@dataclass(frozen=True, slots=True)
class PythonCall(Evidence):
    """A name in Python source, dotted as the file's imports resolve it; `?` is what it computes.

    `at_import`: importing the file is enough to get there. `called` is False where the name is
    only handed on, to a variable or another function. `in_cell`: it stands in a cell of a notebook.
    """

    kind: ClassVar[str] = "python-call"

    name: str
    at_import: bool
    called: bool = True
    in_cell: bool = False
