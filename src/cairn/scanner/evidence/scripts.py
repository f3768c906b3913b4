"""What scripts do, what they install from, and what the code inside of models calls."""

from dataclasses import dataclass
from typing import ClassVar

from cairn.scanner.evidence.base import Evidence


@dataclass(frozen=True, slots=True)
class ScriptOperator(Evidence):
    """An operator that TorchScript code names, as `namespace::name`."""

    kind: ClassVar[str] = "script-operator"

    name: str


@dataclass(frozen=True, slots=True)
class ShellCommand(Evidence):
    """A command of a script that does what `deed` says; `text` is how it begins."""

    kind: ClassVar[str] = "shell-command"

    deed: str
    text: str


@dataclass(frozen=True, slots=True)
class InstallSource(Evidence):
    """An address or host that packages are installed from; `via` says by what."""

    kind: ClassVar[str] = "install-source"

    via: str
    target: str
