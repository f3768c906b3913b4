"""Checks what Cairn runs on against an export of known vulnerabilities, without a network.

    python scripts/audit_dependencies.py EXPORT [--extra dev] [--accept ID ...]

EXPORT is OSV's export for PyPI: its `all.zip`, or a folder of OSV JSON records
(https://google.github.io/osv.dev/data/#data-dumps). Looked at are the packages installed beside
this script that `cairn-hub` needs, and what they need in turn. Exit status: 0 nothing is known, 1
something is, 2 the export cannot be used. Records: https://ossf.github.io/osv-schema/.
"""

import argparse
import json
import re
import sys
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.version import InvalidVersion, Version

ROOT = "cairn-hub"
Versions = dict[str, str]


@dataclass(frozen=True)
class Known:
    """A vulnerability of an installed package."""

    package: str
    version: str
    record: str
    summary: str

    def __str__(self) -> str:
        return f"{self.package} {self.version}: {self.record} {self.summary}".rstrip()


def normalised(name: str) -> str:
    """A project's name as PyPI compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(extras: Iterable[str] = (), root: str = ROOT) -> Versions:
    """Version by name of what is installed because `root` asks for it, directly or not.

    Raises:
        PackageNotFoundError: the root itself is not installed.
    """
    found: Versions = {}
    waiting = [(root, frozenset(extras))]
    seen = set()
    while waiting:
        name, wanted = waiting.pop()
        if (normalised(name), wanted) in seen:
            continue
        seen.add((normalised(name), wanted))
        try:
            package = distribution(name)
        except PackageNotFoundError:
            if name == root:
                raise
            continue  # of another platform, or an extra that nobody installed
        found[normalised(name)] = package.version
        for line in package.requires or ():
            needed = Requirement(line)
            if needed.marker is None or any(
                needed.marker.evaluate({"extra": extra}) for extra in (wanted or {""})
            ):
                waiting.append((needed.name, frozenset(needed.extras)))
    return found


def records(export: Path) -> Iterator[dict[str, Any]]:
    """The records of an export.

    Raises:
        ValueError: one is no JSON object. OSError, BadZipFile: it cannot be read.
    """
    if export.is_dir():
        texts = ((str(path), path.read_bytes()) for path in sorted(export.rglob("*.json")))
    else:
        archive = zipfile.ZipFile(export)
        texts = ((n, archive.read(n)) for n in archive.namelist() if n.endswith(".json"))
    for name, text in texts:
        record = json.loads(text)
        if not isinstance(record, dict) or "id" not in record:
            raise ValueError(f"{name} is no OSV record")
        yield record


def known(record: dict[str, Any], installed: Versions) -> Iterator[Known]:
    """What a record says about what is installed."""
    if record.get("withdrawn"):
        return
    for affected in record.get("affected", ()):
        package = affected.get("package", {})
        name = normalised(str(package.get("name", "")))
        if package.get("ecosystem") == "PyPI" and name in installed:
            version = installed[name]
            if is_affected(affected, version):
                yield Known(name, version, record["id"], str(record.get("summary", "")))


def is_affected(affected: dict[str, Any], version: str) -> bool:
    """Whether a version is named or lies in a range; what cannot be compared counts as affected."""
    if version in affected.get("versions", ()):
        return True
    for span in affected.get("ranges", ()):
        if span.get("type") == "GIT":
            continue  # commits: nothing to compare a version with
        try:
            if _in_range(span.get("events", ()), Version(version)):
                return True
        except InvalidVersion:
            return True
    return False


def _in_range(events: Iterable[dict[str, str]], version: Version) -> bool:
    """The algorithm of the schema: the last event at or before the version decides."""
    inside = False
    for event in sorted(events, key=_order):
        ((kind, at),) = event.items()
        if kind == "introduced" and (at == "0" or version >= Version(at)):
            inside = True
        elif (kind == "fixed" and version >= Version(at)) or (
            kind == "last_affected" and version > Version(at)
        ):
            inside = False
    return inside


def _order(event: dict[str, str]) -> Version:
    (at,) = event.values()
    return Version(at)


def main(arguments: list[str]) -> int:
    """Print what is known of what is installed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("export", type=Path)
    parser.add_argument("--extra", action="append", default=[], help="also what this extra needs")
    parser.add_argument("--accept", action="append", default=[], help="a record that was judged")
    given = parser.parse_args(arguments)
    installed = closure(given.extra)
    try:
        all_records = list(records(given.export))
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        print(f"{given.export}: {error}", file=sys.stderr)
        return 2
    if not all_records:
        print(f"{given.export}: no records; is it OSV's export for PyPI?", file=sys.stderr)
        return 2
    found = {one for record in all_records for one in known(record, installed)}
    found = {one for one in found if one.record not in given.accept}
    for one in sorted(found, key=str):
        print(one)
    print(f"{len(installed)} packages, {len(all_records)} records, {len(found)} known to be bad")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
