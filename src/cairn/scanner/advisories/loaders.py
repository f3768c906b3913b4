"""Which programs load checkpoints, and what of a file says that they would: `loaders.toml`."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Loader:
    """A program; the file `loaders.toml` says what the fields mean."""

    name: str
    packages: frozenset[str] = frozenset()
    imports: frozenset[str] = frozenset()
    forms: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()


@cache
def loaders() -> tuple[Loader, ...]:
    """All of them, in the order of the table."""
    text = Path(__file__).with_name("loaders.toml").read_text("utf-8")
    return tuple(
        Loader(
            row["name"],
            *(frozenset(row.get(field, ())) for field in ("packages", "imports", "forms", "kinds")),
        )
        for row in tomllib.loads(text)["loader"]
    )
