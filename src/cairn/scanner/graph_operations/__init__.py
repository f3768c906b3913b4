"""Which operations graphs may run, one TOML file per framework.

`[[group]]` tables give a `domain` (of ONNX; empty for its own and for TensorFlow), the `names`,
whether these are `harmless` or `malicious`, and the `reason`. Operations in no table are
suspicious: they are of a library that the file expects to be loaded. A table with `every` takes
all names of its domain.
"""

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from cairn.scanner.tables import groups


class Ruling(NamedTuple):
    """Whether an operation is harmless (else malicious), and why."""

    harmless: bool
    reason: str


_EVERY = "*"


@cache
def _rulings(framework: str) -> Mapping[tuple[str, str], Ruling]:
    found: dict[tuple[str, str], Ruling] = {}
    for group in groups("graph_operations", framework):
        ruling = Ruling(group["harmless"], group["reason"])
        names = [_EVERY] if group.get("every") else group["names"]
        found |= {(group.get("domain", ""), name): ruling for name in names}
    return found


def ruling_on(framework: str, domain: str, name: str) -> Ruling | None:
    """What the tables of `onnx` or `tensorflow` say of an operation; None if nothing."""
    rulings = _rulings(framework)
    return rulings.get((domain, name)) or rulings.get((domain, _EVERY))
