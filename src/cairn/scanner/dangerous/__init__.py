"""Names that no checkpoint has an honest use for, by the module they are in: TOML tables.

A table here only raises what is not allowed anyway from suspicious to malicious, so it need not
be whole. `[[group]]` tables give `modules`, which stand for everything in and below them, what
is dangerous of them, and the `reason`:

- `any`: whatever is imported from there;
- `calls`: what is called there, but for classes and for names that unpickling helpers have.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import NamedTuple

from cairn.scanner.tables import groups


class Danger(NamedTuple):
    """What is dangerous of a module, and why."""

    calls_only: bool
    reason: str


@cache
def dangerous_modules() -> Mapping[str, Danger]:
    """The danger of each module listed."""
    found: dict[str, Danger] = {}
    for group in groups("dangerous"):
        danger = Danger(group["dangerous"] == "calls", group["reason"])
        found |= dict.fromkeys(group["modules"], danger)
    return found


def danger_of(module: str) -> Danger | None:
    """The danger of the nearest module listed: itself, or one that it lies in."""
    known = dangerous_modules()
    return next((known[name] for name in _itself_and_above(module) if name in known), None)


def _itself_and_above(module: str) -> Iterator[str]:
    while module:
        yield module
        module = module.rpartition(".")[0]
