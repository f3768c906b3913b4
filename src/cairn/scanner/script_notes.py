"""Turns commands of scripts into evidence: what they run, and what they install from."""

from cairn.scanner.evidence.scripts import InstallSource, ShellCommand
from cairn.scanner.install_text import sources_in_command
from cairn.scanner.shell_text import commands, deeds_in
from cairn.scanner.trace import Trace

_MOST_SHOWN = 300


def note_commands(script: str, trace: Trace, pointer: str = "", first_line: int = 1) -> None:
    """Note what the commands of a script do; `pointer` is its place if it is a part of a file."""
    for what, line, text in deeds_in(script):
        place = trace.at(pointer=f"{pointer} line {line + first_line - 1}".strip())
        trace.note(ShellCommand(place, what, text[:_MOST_SHOWN]))
    for line, text in commands(script):
        for via, target in sources_in_command(text):
            place = trace.at(pointer=f"{pointer} line {line + first_line - 1}".strip())
            trace.note(InstallSource(place, via, target[:_MOST_SHOWN]))
