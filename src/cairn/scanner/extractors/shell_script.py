"""Scripts of shells, and files that hold commands for one: Dockerfiles, makefiles, workflows."""

from re import compile as pattern
from typing import ClassVar

from cairn.domain import Source
from cairn.errors import LimitError
from cairn.scanner.extractor import Extractor
from cairn.scanner.paths import base_name
from cairn.scanner.script_notes import note_commands
from cairn.scanner.shell_text import MAX_SCRIPT_BYTES
from cairn.scanner.trace import Trace

_NAMES = pattern(
    r".*\.(?:sh|bash|zsh|ksh|bat|cmd|ps1|mk|dockerfile)|(?:docker|container)file(?:\..+)?|makefile"
)
# What editors, hosts of code and other tools run commands from, as text: JSON there has comments.
_TOOLS = frozenset(
    (
        *("tasks.json", "devcontainer.json", ".devcontainer.json", ".pre-commit-config.yaml"),
        *(".pre-commit-hooks.yaml", "docker-compose.yml", "docker-compose.yaml", "compose.yml"),
        *("compose.yaml", ".gitlab-ci.yml", "mlproject", "action.yml", "action.yaml", "procfile"),
        *(".envrc", "justfile", "tox.ini", "noxfile.py", "taskfile.yml", "taskfile.yaml"),
    )
)
# Of GitHub, under any name: when, and which jobs.
_WORKFLOW = (pattern(rb"(?m)^[\"']?on[\"']?:"), pattern(rb"(?m)^jobs:"))
_SHEBANG = pattern(rb"#![^\n]*\b(?:ba|z|k|da)?sh\b")


class ShellScriptExtractor(Extractor):
    """Commands by the name of the file, or by a first line that names a shell."""

    version: ClassVar[int] = 1

    @property
    def name(self) -> str:
        """`shell-script`."""
        return "shell-script"

    def claims(self, head: bytes, source: Source) -> bool:
        """Names that people and builds run, and `#!/bin/sh`."""
        name = base_name(source)
        if b"\0" in head:
            return False
        workflow = name.endswith((".yml", ".yaml")) and all(one.search(head) for one in _WORKFLOW)
        named = name in _TOOLS or bool(_NAMES.fullmatch(name))
        return named or workflow or bool(_SHEBANG.match(head))

    def extract(self, source: Source, trace: Trace) -> None:
        """Note what its commands do."""
        if source.size_bytes > MAX_SCRIPT_BYTES:
            raise LimitError(f"a script of {source.size_bytes} bytes", source=source.name)
        note_commands(source.read_at(0, source.size_bytes).decode("utf-8", "replace"), trace)
