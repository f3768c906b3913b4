"""Which globals a pickle may import, and why: one TOML file per framework.

A file is a list of `[[group]]` tables: `module`, `names`, and the `reason` they are harmless
whatever arguments they are called with. Names are exact: no prefix, no pattern, no dots.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files


@cache
def allowed_names() -> Mapping[tuple[str, str], str]:
    """The reason for each module and name."""
    found: dict[tuple[str, str], str] = {}
    for file in sorted(files(__name__).iterdir(), key=lambda item: item.name):
        if file.name.endswith(".toml"):
            for group in tomllib.loads(file.read_text("utf-8"))["group"]:
                for name in group["names"]:
                    found[group["module"], name] = group["reason"]
    return found
