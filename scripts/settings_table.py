"""Writes docs/settings.md from the settings themselves; a test compares the two."""

from pathlib import Path

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from cairn.config import Settings

DOCUMENT = Path(__file__).parents[1] / "docs" / "settings.md"
INTRODUCTION = """\
# Settings

Every setting may be given in three places; a later one wins over an earlier one:

1. a TOML file: `cairn.toml` in the data directory, or the file named by the environment
   variable `CAIRN_CONFIG`, with the names below as keys;
2. the environment variable of that name;
3. an option of the command, where there is one (`cairn serve --help`).

Lists are written `a,b` in environment variables. An unknown key in the file, a variable
whose name is nearly one of these, or a value out of range stops the start with a message that
names it. Other variables that begin with `CAIRN_` are left alone.

This table is made from `src/cairn/config` by `scripts/settings_table.py`.

| key in cairn.toml | environment variable | default | range | what it does |
|---|---|---|---|---|
"""


def document() -> str:
    """The text of docs/settings.md."""
    rows = [row(name, field) for name, field in Settings.model_fields.items()]
    return INTRODUCTION + "".join(rows)


def row(name: str, field: FieldInfo) -> str:
    """One line of the table."""
    cells = [f"`{name}`", f"`CAIRN_{name.upper()}`", default(field), allowed(field)]
    text = (field.description or "").replace("|", "\\|")
    return f"| {' | '.join([*cells, text])} |\n"


def default(field: FieldInfo) -> str:
    """The default as it would be written in an environment variable."""
    value = field.default
    if value is None or value is PydanticUndefined or value == ():
        return "unset"
    if isinstance(value, tuple):
        return f"`{','.join(map(str, value))}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`"


def allowed(field: FieldInfo) -> str:
    """Bounds, or the words to choose from."""
    choices = getattr(field.annotation, "__args__", ())
    if choices and all(isinstance(choice, str) for choice in choices):
        return ", ".join(f"`{choice}`" for choice in choices)
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "min_length": "length ≥"}
    bounds = [
        f"{sign} {getattr(limit, key)}"
        for limit in field.metadata
        for key, sign in signs.items()
        if getattr(limit, key, None) is not None
    ]
    return ", ".join(bounds)


if __name__ == "__main__":
    DOCUMENT.write_text(document())
