"""What CPython's own unpicklers would import: run by the tests as a process of its own.

Every name resolves to an object that does nothing whatever is done with it, so nothing real is
ever imported or called. Reads pickles as lines of hex; writes the names of each as JSON.
"""

import io
import json
import pickle
import resource
import sys
from typing import Self

_MEMORY_BYTES = 2 << 30
_CPU_S = 60
_MAX_LOADS = 8


class Inert:
    """Stands for whatever a pickle names; it takes any call, attribute and item."""

    def __new__(cls, *_: object, **__: object) -> Self:
        return super().__new__(cls)

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __call__(self, *_: object, **__: object) -> "Inert":
        return self

    def __setstate__(self, _: object) -> None:
        pass

    def __setitem__(self, *_: object) -> None:
        pass

    def append(self, _: object) -> None:
        pass

    def extend(self, _: object) -> None:
        pass

    def add(self, _: object) -> None:
        pass


class _Recording:
    names: set[tuple[str, str]]

    def find_class(self, module: str, name: str) -> type[Inert]:
        self.names.add((module, name))
        return Inert

    def persistent_load(self, _: object) -> Inert:
        return Inert()


class InC(_Recording, pickle.Unpickler):
    """The unpickler of `_pickle.c`."""


class InPython(_Recording, pickle._Unpickler):  # type: ignore[name-defined]
    """The unpickler of `pickle.py`."""


def imports_of(data: bytes, kind: type) -> list[tuple[str, str]]:
    """Every name that loading the pickles in `data` one after the other asks for."""
    stream = io.BytesIO(data)
    names: set[tuple[str, str]] = set()
    for _ in range(_MAX_LOADS):
        unpickler = kind(stream, encoding="latin1")
        unpickler.names = names
        try:
            unpickler.load()
        except Exception:  # noqa: BLE001 - whatever the bytes make it raise
            break
    return sorted(names)


def main() -> None:
    """Answer each line."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    for line in sys.stdin:
        data = bytes.fromhex(line)
        sys.stdout.write(json.dumps([imports_of(data, kind) for kind in (InC, InPython)]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
