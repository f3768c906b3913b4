"""Programs: machine code and scripts, whole files of them or what follows other data."""

from typing import ClassVar

from cairn.domain import Source
from cairn.scanner.evidence.contents import LAUNCHER, Program
from cairn.scanner.extractor import Extractor
from cairn.scanner.machine_code import program_family
from cairn.scanner.paths import base_name
from cairn.scanner.trace import Trace

# What desktops do at a click, by the name alone: start what the file says, or what it holds.
_LAUNCHERS = (
    *(".desktop", ".command", ".terminal", ".workflow", ".scpt", ".applescript", ".jnlp"),
    *(".lnk", ".url", ".scf", ".pif", ".reg", ".hta", ".vbs", ".vbe", ".jse", ".wsf", ".wsh"),
    *(".appref-ms", ".application", ".settingcontent-ms", ".library-ms", ".msc"),
)


class ProgramExtractor(Extractor):
    """What an operating system or virtual machine would start."""

    version: ClassVar[int] = 2

    @property
    def name(self) -> str:
        """`program`."""
        return "program"

    def claims(self, head: bytes, source: Source) -> bool:
        """By how programs begin, or by a name that is enough to have a file started."""
        return bool(program_family(head)) or base_name(source).endswith(_LAUNCHERS)

    def extract(self, source: Source, trace: Trace) -> None:
        """Say which; what it would do is not looked into."""
        family = program_family(source.read_at(0, 4096)) or LAUNCHER
        trace.note(Program(trace.at(0), family, base_name(source) or "a file"))
