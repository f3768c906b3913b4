"""Jupyter notebooks: the Python in their cells, and the commands that cells hand to a shell.

Format: https://nbformat.readthedocs.io/en/latest/format_description.html. Lines that begin with `!`
or `%` are IPython's: https://ipython.readthedocs.io/en/stable/interactive/magics.html. What cells
gave when somebody ran them is not looked into: Jupyter shows it without running it.
"""

import re
from collections.abc import Iterator
from typing import Any, ClassVar

from cairn.domain import Source
from cairn.errors import MalformedError
from cairn.formats.strict_json import read_json
from cairn.scanner.active_markup import python_in
from cairn.scanner.evidence.contents import ActiveText
from cairn.scanner.extractor import Extractor
from cairn.scanner.paths import base_name
from cairn.scanner.python_notes import note_python
from cairn.scanner.script_notes import note_commands
from cairn.scanner.trace import Trace

# With pictures in them.
_MAX_NOTEBOOK_BYTES = 64 << 20
_SHELL_CELL = re.compile(r"\s*%%(?:bash|sh|!|script|system|sx|cmd|powershell).*\n?")
_FILE_CELL = re.compile(r"\s*%%(?:writefile|file)\s+.*\.py\s*\n")
_PYTHON_CELL = re.compile(r"\s*%%(?:time|timeit|capture|prun|python3?|debug)\b.*\n")
_OTHER_CELL = re.compile(r"\s*%%")
_SHELL_LINE = re.compile(
    r"(?P<indent>\s*)(?:[\w.,\[\]][\w.,\[\] ]*=\s*)?(?:!!?|%(?:sx|system)\s)(?P<rest>.*)"
)
_INSTALL_LINE = re.compile(r"(?P<indent>\s*)%(?P<rest>(?:pip|conda|uv|mamba)\s.*)")
_MAGIC_LINE = re.compile(r"(?P<indent>\s*)(?:%{1,2}[A-Za-z]|\?)|.*[\w.\])]\?{1,2}\s*\Z")


class NotebookExtractor(Extractor):
    """Notebooks by their name."""

    version: ClassVar[int] = 1

    @property
    def name(self) -> str:
        """`notebook`."""
        return "notebook"

    def claims(self, head: bytes, source: Source) -> bool:
        """What is called `.ipynb`."""
        del head
        return base_name(source).endswith(".ipynb")

    def extract(self, source: Source, trace: Trace) -> None:
        """Note what each cell of code does."""
        trace.spend(source.size_bytes)
        root = read_json(source, _MAX_NOTEBOOK_BYTES, what="the notebook", constants=True)
        for pointer, text in _cells(root):
            python, shell = parts_of_cell(text)
            note_commands(shell, trace, pointer)
            _note_cell(python, pointer, trace)


def _cells(root: Any) -> Iterator[tuple[str, str]]:
    """Each cell of code with its JSON pointer.

    Raises:
        MalformedError: it is no notebook.
    """
    if not isinstance(root, dict):
        raise MalformedError("the notebook is no object")
    sheets = root.get("worksheets")  # until format 4
    places: list[tuple[str, Any]] = [("", root)]
    if isinstance(sheets, list):
        places += [(f"/worksheets/{at}", sheet) for at, sheet in enumerate(sheets)]
    for above, sheet in places:
        cells = sheet.get("cells") if isinstance(sheet, dict) else None
        for at, cell in enumerate(cells if isinstance(cells, list) else ()):
            if isinstance(cell, dict) and cell.get("cell_type") == "code":
                source = cell.get("source", cell.get("input", ""))
                lines = source if isinstance(source, list) else [source]
                yield f"{above}/cells/{at}", "".join(one for one in lines if isinstance(one, str))


def parts_of_cell(text: str) -> tuple[str, str]:
    """The Python of a cell and the commands it hands to a shell, each on the lines they stand."""
    if _SHELL_CELL.match(text):
        return "", _blank(_SHELL_CELL, text)
    for marked in (_FILE_CELL, _PYTHON_CELL):
        if marked.match(text):
            text = _blank(marked, text)
    if _OTHER_CELL.match(text):
        return "", ""
    python, shell = [], []
    for line in text.replace("\\\n", "  ").split("\n"):
        found = _SHELL_LINE.match(line) or _INSTALL_LINE.match(line)
        magic = found or _MAGIC_LINE.match(line)
        shell.append(found["rest"] if found else "")
        python.append((magic["indent"] or "") + "pass" if magic else line)
    return "\n".join(python), "\n".join(shell)


def _blank(mark: re.Pattern[str], text: str) -> str:
    """A cell without its first line, the others where they were."""
    return mark.sub("\n", text, count=1)


def _note_cell(python: str, pointer: str, trace: Trace) -> None:
    try:
        note_python(python, trace, cell=pointer)
    except MalformedError:  # of another language or an older Python, or half written
        for what, _ in python_in(python):
            trace.note(ActiveText(trace.at(pointer=pointer), f"a cell with {what}"))
