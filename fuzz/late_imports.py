"""Every module of a package, imported now: with the fuzzer's instruments, inside their block.

Cairn imports readers and others when a file may be theirs. Imported then, a module would tell the
fuzzer nothing of the ways taken in it.
"""

import pkgutil
from importlib import import_module
from typing import Any


def import_all(*packages: str) -> None:
    """Import these packages and every module below them."""
    for name in packages:
        package: Any = import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            import_module(module.name)
