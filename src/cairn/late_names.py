"""Names of a package that are imported when they are first asked for, not with the package.

A package tells type checkers where its names are by imports under `TYPE_CHECKING`, and the
interpreter by a `__getattr__` made here (PEP 562).
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def imported_late(package: str, homes: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """A `__getattr__` for a package: `homes` has the names in each of its modules.

    What was found once is kept in the package.
    """
    home_of = {name: module for module, names in homes.items() for name in names}

    def find(name: str) -> Any:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found = getattr(import_module(f"{package}.{home_of[name]}"), name)
        setattr(sys.modules[package], name, found)
        return found

    return find
