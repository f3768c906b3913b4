"""Turns Python source, read as syntax, into evidence: each name once, and what constants hide."""

from cairn.scanner.encoded_texts import note_encoded
from cairn.scanner.evidence.settings import PythonCall
from cairn.scanner.python_source import parsed
from cairn.scanner.trace import Trace


def note_python(text: str, trace: Trace, *, cell: str = "") -> None:
    """Note what source would get hold of and call.

    `cell` is the place of a cell of a notebook, whose source runs when a person says so.

    Raises:
        MalformedError: it is no Python.
        LimitError: it is too long, nests too deeply, or hides too much to search.
    """
    source = parsed(text)
    seen: set[tuple[str, bool, bool]] = set()
    for name, called, reached, line in source.mentions():
        at_import = reached and not cell
        if (name, called, at_import) not in seen:
            seen.add((name, called, at_import))
            place = trace.at(pointer=f"{cell} line {line}".strip())
            trace.note(PythonCall(place, name[:300], at_import, called, in_cell=bool(cell)))
    for constant, line in source.texts():
        note_encoded(constant, trace.at(pointer=f"{cell} line {line}".strip()), trace)
