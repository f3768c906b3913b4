"""The tables that rules go by: TOML files beside the code, read when something is looked up."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent


def table_files(folder: str) -> tuple[Path, ...]:
    """The files of a folder of the scanner, such as `allowed`, in the order of their names."""
    return tuple(sorted((_FOLDER / folder).glob("*.toml")))


def groups(folder: str, name: str = "*") -> Iterator[dict[str, Any]]:
    """The `[[group]]` tables in the files of a folder, or in one of them."""
    for path in sorted((_FOLDER / folder).glob(f"{name}.toml")):
        yield from tomllib.loads(path.read_text("utf-8"))["group"]
