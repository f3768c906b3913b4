"""Which globals a pickle may import, and why: one TOML file per framework.

A file is a list of `[[group]]` tables: `module`, `names`, and the `reason` they are harmless
whatever arguments they are called with. Names are exact: no prefix, no pattern, no dots. `calls`
says less: `none`, what is only looked up and nothing calls; `new`, what is made empty (NEWOBJ) and
given its state, since its constructor would do more; `followed`, what unpickles bytes, and is as
harmless as these.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from cairn.scanner.tables import groups


@cache
def allowed_names() -> Mapping[tuple[str, str], str]:
    """The reason for each module and name."""
    return {(module, name): group["reason"] for module, name, group in _entries()}


@cache
def limited_calls() -> Mapping[tuple[str, str], str]:
    """Which calls of an allowed name are harmless, where not all are."""
    return {
        (module, name): group["calls"] for module, name, group in _entries() if "calls" in group
    }


@cache
def _entries() -> tuple[tuple[str, str, dict[str, Any]], ...]:
    return tuple(
        (group["module"], name, group) for group in groups("allowed") for name in group["names"]
    )
