"""Reads the table of expected answers."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.hub.authorisation.world import VISIBILITIES

TABLE = Path(__file__).with_name("expected.toml")


@dataclass(frozen=True)
class Row:
    """One route: its name in the table, and the status by visibility and role."""

    name: str
    status: dict[str, dict[str, int]]

    @property
    def names_repo(self) -> bool:
        """Whether a request says which repo it is about, in its path or its body."""
        return "REPO" in self.name or "/repos/delete" in self.name


@cache
def rows() -> tuple[Row, ...]:
    table = tomllib.loads(TABLE.read_text())
    return tuple(
        Row(name, _statuses(table["roles"].split(), table["rules"], said))
        for name, said in table["routes"].items()
    )


def _statuses(roles: list[str], rules: dict, said: str) -> dict[str, dict[str, int]]:
    rule, _, success = said.partition(" -> ")
    lines = rules[rule]
    by_visibility = [lines] * 3 if isinstance(lines, str) else [lines[v] for v in VISIBILITIES]
    found = {}
    for visibility, line in zip(VISIBILITIES, by_visibility, strict=True):
        cells = line.split()
        assert len(cells) == len(roles), f"{rule}, {visibility}: {len(cells)} cells"
        answers = [int(success or 200) if cell == "ok" else int(cell) for cell in cells]
        found[visibility] = dict(zip(roles, answers, strict=True))
    return found
