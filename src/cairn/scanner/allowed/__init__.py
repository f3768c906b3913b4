"""Which globals a pickle may import, and why: one TOML file per framework.

A file is a list of `[[group]]` tables: `module`, `names`, and the `reason` they are harmless
whatever arguments they are called with. Names are exact: no prefix, no pattern, no dots. `calls`
says less: `none`, what is only looked up and nothing calls; `new`, what is made empty (NEWOBJ) and
given its state, since its constructor would do more.
"""

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def allowed_names() -> Mapping[tuple[str, str], str]:
    """The reason for each module and name."""
    return {(module, name): group["reason"] for module, name, group in _entries()}


@cache
def limited_calls() -> Mapping[tuple[str, str], str]:
    """Which calls of an allowed name are harmless, `none` or `new`, where not all are."""
    return {
        (module, name): group["calls"] for module, name, group in _entries() if "calls" in group
    }


def _entries() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for file in sorted(files(__name__).iterdir(), key=lambda item: item.name):
        if file.name.endswith(".toml"):
            for group in tomllib.loads(file.read_text("utf-8"))["group"]:
                for name in group["names"]:
                    yield group["module"], name, group
