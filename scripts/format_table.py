"""Writes the table of families in docs/formats/README.md from checkpoints made on the spot.

A test makes them again and compares the two.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from cairn.domain import Checkpoint, Part
from cairn.workflows.inspect import inspect_path
from scripts.format_checkpoints import make_all

DOCUMENT = Path(__file__).parents[1] / "docs" / "formats" / "README.md"
START = "<!-- made by scripts/format_table.py -->\n"
END = "<!-- end of what scripts/format_table.py made -->\n"
_HEAD = """\
| checkpoint | format | family | says so | architecture | weights | optimizer | metadata | resume |
|---|---|---|---|---|---|---|---|---|
"""


def document(paths: Mapping[str, Path]) -> str:
    """The text of docs/formats/README.md with the table of these checkpoints."""
    text = DOCUMENT.read_text()
    before, _, rest = text.partition(START)
    after = rest.partition(END)[2]
    rows = [row(label, inspect_path(path)) for label, path in paths.items()]
    return f"{before}{START}{_HEAD}{''.join(rows)}{END}{after}"


def row(label: str, checkpoint: Checkpoint) -> str:
    """One line of the table."""
    found, whole = checkpoint.architecture, checkpoint.completeness
    assert whole is not None
    family = f"`{found.family}`" if found else "unknown"
    if found and found.parts:
        family += " of " + ", ".join(f"`{part.family}`" for part in found.parts.values())
    evidence = f"`{found.evidence}`" if found else "nothing"
    marks = ["✓" if part in whole.present else "✗" for part in Part]
    going_on = "not bit for bit" if whole.inexact else "yes"
    resume = going_on if whole.resumable else "no"
    cells = [label, ", ".join(checkpoint.formats), family, evidence, *marks, resume]
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        DOCUMENT.write_text(document(make_all(Path(folder))))
