"""Scans of what a hub keeps: each blob once per name it has, remembered by content.

What is left to do can be read off the catalog (docs/decisions/0007-derived-jobs.md). Evidence is
kept, so that `rejudging` needs no file.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from cairn.catalog import KeptScan, scanned_name
from cairn.domain import Blob, Digest, Entry, FileReport, Place, Verdict
from cairn.errors import BlobNotFoundError, IntegrityError, MalformedError, NotFoundError
from cairn.scanner import extraction_version, judging_version, report_of
from cairn.scanner.evidence.base import Evidence, Unread
from cairn.scanner.evidence.kinds import encode
from cairn.workflows.house import House
from cairn.workflows.notifications import NoticeKind, notify_owners
from cairn.workflows.rejudging import Judged, evidence_of, verdict_on
from cairn.workflows.scan import Gather
from cairn.workflows.stored_file import StoredFile

BLOBS_AT_ONCE = 20
"""Blobs of one pass; after it other work of the background gets its turn."""


def scan_blob(house: House, blob: Blob, name: str, gather: Gather) -> Verdict:
    """Scan a blob as a file of this name, and keep what was found.

    Raises:
        BlobNotFoundError, IntegrityError: the store lost or damaged it.
        UnavailableError: no scanning process can be started.
    """
    with house.store.open(blob.digest) as reader:
        evidence = gather(StoredFile(name, reader))
    advisories = house.advisories.current()
    verdict = verdict_on(evidence, blob.digest, advisories)
    text = json.dumps([encode(one) for one in evidence], separators=(",", ":"))
    named = (blob.digest, name)
    is_new = not house.catalog.blob_scans.verdicts([named])
    house.catalog.blob_scans.put(
        named, extraction_version(), judging_version(advisories), verdict, text
    )
    if is_new and verdict is Verdict.MALICIOUS:
        _tell_owners(house, blob, name)
    return verdict


def _tell_owners(house: House, blob: Blob, name: str) -> None:
    """Of later changes of a verdict `recall` tells."""
    for place in house.catalog.history.locations([blob.digest])[blob.digest]:
        if scanned_name(place.path) == name:
            with suppress(NotFoundError):  # deleted meanwhile
                record = house.catalog.repos.get(place.repo)
                what = f"{record.id.full_name}: the scan found {place.path} malicious"
                notify_owners(house, record, NoticeKind.VERDICT, what)


def scan_pending(
    house: House, scan: Callable[[Blob, str], Verdict], lost: set[Digest] | None = None
) -> Iterator[Judged]:
    """Scan blobs that these extractors never saw, or not under each name that they came by.

    All names of a blob are noted before the first is scanned: a kill in between loses none.
    Those in `lost` are left out, and those that the store lost or damaged are added to it: else
    they would be the first of every pass, and enough of them all of it.
    """
    lost = set() if lost is None else lost
    due = _due(house, lost)
    places = house.catalog.history.locations(blob.digest for blob in due)
    for blob in due:
        found = {scanned_name(place.path) for place in places[blob.digest]}
        names = _not_read(house, blob, found)
        if len(names) > 1:
            house.catalog.blob_scans.wait(blob.digest, names)
        for name in names:
            try:
                yield Judged(blob.digest.hex, name, scan(blob, name))
            except (BlobNotFoundError, IntegrityError):
                lost.add(blob.digest)  # verify and the pages tell
                break


def _due(house: House, lost: set[Digest]) -> list[Blob]:
    """What is scanned next: what nobody read, then what came by another name since it was read."""
    scans, limit = house.catalog.blob_scans, BLOBS_AT_ONCE + len(lost)
    found = scans.due(extraction_version(), limit)
    if len(found) < limit:
        found += scans.due_by_name(limit)
    distinct = {blob.digest: blob for blob in found if blob.digest not in lost}
    return list(distinct.values())[:BLOBS_AT_ONCE]


def _not_read(house: House, blob: Blob, names: set[str]) -> list[str]:
    """Those of a blob's names, and of those it ever had, under which it is to be read now."""
    scans, ours = house.catalog.blob_scans, extraction_version()
    kept = scans.of_blob(blob.digest)
    read = {one.name for one in kept if one.extraction == ours}
    named = names.union((one.name for one in kept), names_waiting(house, blob.digest))
    return sorted(named - read) if named else [""]


def names_waiting(house: House, digest: Digest) -> list[str]:
    """The names that a blob came by and was never scanned under."""
    scans = house.catalog.blob_scans
    waiting = [(digest, name) for name in scans.names_waiting(digest)]
    known = scans.verdicts(waiting)
    scans.seen(known)
    return [named[1] for named in waiting if named not in known]


def known_verdicts(house: House, entries: Iterable[Entry]) -> dict[str, Verdict]:
    """The verdicts on those of a revision's files that were scanned, by path."""
    named = {entry.path: (entry.blob.digest, scanned_name(entry.path)) for entry in entries}
    found = house.catalog.blob_scans.verdicts(named.values())
    return {path: found[one] for path, one in named.items() if one in found}


def known_scans(house: House, entries: Iterable[Entry]) -> dict[str, KeptScan]:
    """What is kept of scans of a revision's files, by path."""
    named = {entry.path: (entry.blob.digest, scanned_name(entry.path)) for entry in entries}
    kept = house.catalog.blob_scans.get(named.values())
    return {path: kept[one] for path, one in named.items() if one in kept}


def reports_of_blob(house: House, digest: Digest) -> list[FileReport]:
    """The reports on a blob under every name that it was scanned by."""
    kept = house.catalog.blob_scans.of_blob(digest)
    return [report_on(house, scan, scan.name, 0) for scan in kept]


def report_on(house: House, kept: KeptScan, path: str, size_bytes: int) -> FileReport:
    """What today's rules say of what a scan noted of a file."""
    try:
        evidence: tuple[Evidence, ...] = evidence_of(kept)
    except (MalformedError, ValueError):  # what wrote it is not what reads it
        evidence = (Unread(Place(), "what the last scan noted cannot be read; it is made again"),)
    return report_of(path, size_bytes, evidence, house.advisories.current(), kept.digest)
