"""Valid files to start from: what the conformance suites of the readers are made of.

    python -m fuzz.seeds FOLDER [NAME ...]

writes FOLDER/<reader>/<sample> and prints the names of the readers.
"""

import importlib
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from cairn.formats import READERS
from cairn.testing.readers import ReaderConformance

ROOT = Path(__file__).parent.parent


def suites() -> dict[str, list[type[ReaderConformance]]]:
    """The conformance suites of the built-in readers, by the reader's name."""
    for path in sorted((ROOT / "tests/formats").glob("test_*.py")):
        if "ReaderConformance" in path.read_text():
            importlib.import_module(f"tests.formats.{path.stem}")
    found: dict[str, list[type[ReaderConformance]]] = {reader.name: [] for reader in READERS}
    for suite in _subclasses(ReaderConformance):
        name = suite.reader.name if hasattr(suite, "reader") else ""
        if name in found and suite.__module__.startswith("tests.formats."):
            found[name].append(suite)
    return found


def _subclasses(suite: type[ReaderConformance]) -> Iterator[type[ReaderConformance]]:
    for child in suite.__subclasses__():
        yield child
        yield from _subclasses(child)


def write(folder: Path, names: list[str]) -> list[str]:
    """Write the samples of these readers, all of them if none is named; returns the names."""
    known = suites()
    for name in names or known:
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        for suite in known[name]:
            for data in suite.make().values():
                (place / sha256(data).hexdigest()[:16]).write_bytes(data)
    return list(names or known)


if __name__ == "__main__":
    print("\n".join(write(Path(sys.argv[1]), sys.argv[2:])))
