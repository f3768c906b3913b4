"""Reads advisories in the Open Source Vulnerability format, of what loads checkpoints.

Specification: https://ossf.github.io/osv-schema/. Read are `id`, `modified`, `withdrawn`,
`aliases`, `summary`, `references`, and of each of `affected`: `package` in the ecosystem PyPI with
`ranges` of type ECOSYSTEM or SEMVER; or, for programs outside of it, `database_specific` with
`loader` and `ranges` as Cairn's own records have them: OSV's GIT ranges name commits, and whoever
loads a file knows releases.
"""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from cairn.domain import Advisory, AffectedRange
from cairn.scanner.advisories.loaders import Loader, loaders

MAX_RECORD_BYTES = 4 << 20
"""The largest record of OSV's PyPI export of November 2026 has well under 1 MB."""

_ECOSYSTEM = "PyPI"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}")
_MAX_TEXT = 500
_MAX_ALIASES = 50
_MAX_RANGES = 200
_KEPT = ("schema_version", "id", "modified", "aliases", "summary", "affected", "references")

Json = dict[str, Any]


def record_id(record: object) -> str | None:
    """The id of an OSV record; None if this is none, or one that was withdrawn."""
    if not isinstance(record, dict) or record.get("withdrawn"):
        return None
    found = record.get("id")
    if not isinstance(found, str) or not _ID.fullmatch(found):
        return None
    return found if isinstance(record.get("affected"), list) else None


def advisories_in(record: object) -> list[Advisory]:
    """What a record says of each loader it is about; nothing if of none, or if it makes no sense.

    Never raises: records are anybody's, and one that is damaged must not hide the others.
    """
    found = record_id(record)
    if found is None:
        return []
    assert isinstance(record, dict)
    by_loader: dict[str, list[AffectedRange]] = {}
    for affected in _objects(record["affected"]):
        for loader in _loaders_of(affected):
            by_loader.setdefault(loader.name, []).extend(_ranges(affected))
    return [
        Advisory(
            id=found,
            loader=loader,
            summary=_summary(record),
            ranges=tuple(dict.fromkeys(ranges))[:_MAX_RANGES],
            aliases=tuple(islice(_texts(record.get("aliases")), _MAX_ALIASES)),
            source=_source(record),
            modified=_text(record.get("modified")),
        )
        for loader, ranges in by_loader.items()
        if ranges
    ]


def cut_record(record: Json) -> Json:
    """A record without what nobody here reads: its details, and packages that load nothing."""
    kept = {key: record[key] for key in _KEPT if key in record}
    kept["affected"] = [one for one in _objects(record["affected"]) if any(_loaders_of(one))]
    for affected in kept["affected"]:
        affected.pop("versions", None)  # the releases one by one: `ranges` say the same
    return kept


def _loaders_of(affected: Json) -> Iterator[Loader]:
    package, own = affected.get("package"), affected.get("database_specific")
    for loader in loaders():
        if isinstance(package, dict):
            if package.get("ecosystem") == _ECOSYSTEM and _plain(package) in loader.packages:
                yield loader
        elif isinstance(own, dict) and own.get("loader") == loader.name:
            yield loader


def _plain(package: Json) -> str:
    """The name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", _text(package.get("name"))).lower()


def _ranges(affected: Json) -> Iterator[AffectedRange]:
    if "package" not in affected:
        own = affected["database_specific"]
        for one in _objects(own.get("ranges")):
            yield AffectedRange(_text(one.get("introduced")) or "0", _text(one.get("fixed")))
        return
    for span in _objects(affected.get("ranges")):
        if span.get("type") in ("ECOSYSTEM", "SEMVER"):
            yield from _spans(_objects(span.get("events")))


def _spans(events: Iterator[Json]) -> Iterator[AffectedRange]:
    """Events tell when a flaw came and went, in any number of turns."""
    introduced: str | None = None
    for event in events:
        if "introduced" in event:
            if introduced is not None:
                yield AffectedRange(introduced)
            introduced = _text(event["introduced"]) or "0"
        elif introduced is not None and ("fixed" in event or "last_affected" in event):
            yield AffectedRange(
                introduced, _text(event.get("fixed")), _text(event.get("last_affected"))
            )
            introduced = None
    if introduced is not None:
        yield AffectedRange(introduced)


def _summary(record: Json) -> str:
    return _text(record.get("summary")) or _text(record.get("details")).partition("\n")[0]


def _source(record: Json) -> str:
    """The first address that is an advisory, or else the first."""
    references = list(_objects(record.get("references")))
    ordered = sorted(references, key=lambda one: one.get("type") != "ADVISORY")
    return next((url for one in ordered if (url := _text(one.get("url")))), "")


def _objects(value: object) -> Iterator[Json]:
    items = value if isinstance(value, list) else []
    return (item for item in items if isinstance(item, dict))


def _texts(value: object) -> Iterator[str]:
    items = value if isinstance(value, list) else []
    return (text for item in items if (text := _text(item)))


def _text(value: object) -> str:
    return value[:_MAX_TEXT] if isinstance(value, str) else ""
