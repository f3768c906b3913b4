"""An archive some of whose pickles were read already: whoever lays it out need not do it again."""

from collections.abc import Mapping

from cairn.domain import Source
from cairn.formats.pickle_program import PickleProgram


class ReadPrograms:
    """A source that knows the programs of some members of the archive it is, by their names."""

    def __init__(self, source: Source, programs: Mapping[str, PickleProgram]) -> None:
        """`programs` are whole, and were read with the caps of `read_program`."""
        self._source = source
        self._programs = programs

    @property
    def name(self) -> str:
        """The name of the source beneath."""
        return self._source.name

    @property
    def size_bytes(self) -> int:
        """Size of the source beneath."""
        return self._source.size_bytes

    def read_at(self, offset: int, length: int) -> bytes:
        """See `Source.read_at`."""
        return self._source.read_at(offset, length)

    def program_of(self, member: str, max_opcodes: int, inline_bytes: int) -> PickleProgram | None:
        """The program that reading a member with these caps gives, if it is known."""
        program = self._programs.get(member)
        if program is None or program.failure is not None:
            return None
        same = program.opcodes <= max_opcodes and program.longest_bytes <= inline_bytes
        return program if same else None
