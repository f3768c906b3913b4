"""Which operations graphs may run, one TOML file per framework.

`[[group]]` tables give a `domain` (of ONNX; empty for its own and for TensorFlow), the `names`,
whether these are `harmless` or `malicious`, and the `reason`. Operations in no table are
suspicious: they are of a library that the file expects to be loaded. A table with `every` takes
all names of its domain.
"""

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import NamedTuple


class Ruling(NamedTuple):
    """Whether an operation is harmless (else malicious), and why."""

    harmless: bool
    reason: str


_EVERY = "*"


@cache
def _rulings(framework: str) -> Mapping[tuple[str, str], Ruling]:
    found: dict[tuple[str, str], Ruling] = {}
    text = files(__name__).joinpath(f"{framework}.toml").read_text("utf-8")
    for group in tomllib.loads(text)["group"]:
        ruling = Ruling(group["harmless"], group["reason"])
        names = [_EVERY] if group.get("every") else group["names"]
        found |= {(group.get("domain", ""), name): ruling for name in names}
    return found


def all_rulings() -> Iterator[tuple[str, str, str, bool]]:
    """Every entry of the tables: framework, domain, name, whether it is harmless."""
    for framework in ("onnx", "tensorflow"):
        for (domain, name), ruling in sorted(_rulings(framework).items()):
            yield framework, domain, name, ruling.harmless


def ruling_on(framework: str, domain: str, name: str) -> Ruling | None:
    """What the tables of `onnx` or `tensorflow` say of an operation; None if nothing."""
    rulings = _rulings(framework)
    return rulings.get((domain, name)) or rulings.get((domain, _EVERY))
