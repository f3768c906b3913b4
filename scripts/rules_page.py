"""Writes docs/security/rules.md from the rules themselves; a test compares the two."""

from pathlib import Path

from cairn.scanner import RULES
from cairn.scanner.pages import page_of

DOCUMENT = Path(__file__).parents[1] / "docs" / "security" / "rules.md"
INTRODUCTION = """\
# Rules

What files are scanned by, as `cairn rules` shows it. Made from the docstrings in
`src/cairn/scanner/rules` by `scripts/rules_page.py`.
"""


def document() -> str:
    """The text of docs/security/rules.md, rules by name."""
    pages = sorted((page_of(rule) for rule in RULES), key=lambda page: page.name)
    chapters = [f"\n## {page.name}\n\n**{page.title}.**\n\n{page.text}\n" for page in pages]
    return INTRODUCTION + "".join(chapters)


if __name__ == "__main__":
    DOCUMENT.write_text(document())
