"""Programs: machine code and scripts, whole files of them or what follows other data."""

from cairn.domain import Source
from cairn.scanner.evidence.contents import Program
from cairn.scanner.extractor import Extractor
from cairn.scanner.machine_code import program_family
from cairn.scanner.paths import base_name
from cairn.scanner.trace import Trace


class ProgramExtractor(Extractor):
    """What an operating system or virtual machine would start."""

    @property
    def name(self) -> str:
        """`program`."""
        return "program"

    def claims(self, head: bytes, source: Source) -> bool:
        """By how programs begin."""
        del source
        return bool(program_family(head))

    def extract(self, source: Source, trace: Trace) -> None:
        """Say which; what it would do is not looked into."""
        family = program_family(source.read_at(0, 4096))
        trace.note(Program(trace.at(0), family, base_name(source) or "a file"))
