"""What scans found in a blob under a name that it has: by content, so in whatever repos it lies.

The name counts because loaders go by it: the same text is read as a template under one name and
by nobody under another.
"""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, delete, exists, insert, or_, select, update

from cairn.catalog.database import Database
from cairn.catalog.schema import blob_scans, repo_blobs
from cairn.domain import Blob, Digest, Verdict

_BATCH = 250  # blobs and names named in one query

Named = tuple[Digest, str]
"""A blob and the last part of a path it has."""


@dataclass(frozen=True, slots=True)
class KeptScan:
    """What is kept of one scan: `evidence` is text that the scanner wrote."""

    digest: Digest
    name: str
    verdict: Verdict
    evidence: str


class BlobScans:
    """One scan per blob and name, the last; its verdict stands until another one is put."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(self, extraction: str, limit: int) -> list[Blob]:
        """Blobs of repos that these extractors saw under no name yet, smallest first."""
        known = and_(
            blob_scans.c.digest == repo_blobs.c.digest, blob_scans.c.extraction == extraction
        )
        query = (
            select(repo_blobs.c.digest, repo_blobs.c.size_bytes)
            .distinct()
            .outerjoin(blob_scans, known)
            .where(blob_scans.c.digest.is_(None))
            .order_by(repo_blobs.c.size_bytes, repo_blobs.c.digest)
            .limit(limit)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [Blob(_digest(row.digest), row.size_bytes) for row in rows]

    def stale(self, rules: str, limit: int) -> list[KeptScan]:
        """Scans that were judged by other rules than these."""
        query = select(blob_scans).where(blob_scans.c.rules != rules).limit(limit)
        with self._database.read() as connection:
            return [_kept(row) for row in connection.execute(query)]

    def put(self, named: Named, extraction: str, rules: str, verdict: Verdict, text: str) -> None:
        """Keep a scan, in place of what is there of this blob and name."""
        row = {
            "digest": named[0].raw,
            "name": named[1],
            "extraction": extraction,
            "rules": rules,
            "verdict": verdict.value,
            "evidence": zlib.compress(text.encode()),
        }
        with self._database.write() as connection:
            connection.execute(delete(blob_scans).where(_is([named])))
            connection.execute(insert(blob_scans).values(row))

    def judge(self, named: Named, rules: str, verdict: Verdict) -> None:
        """Note what these rules say of the evidence that is kept."""
        change = update(blob_scans).where(_is([named]))
        with self._database.write() as connection:
            connection.execute(change.values(rules=rules, verdict=verdict.value))

    def verdicts(self, wanted: Iterable[Named]) -> dict[Named, Verdict]:
        """The verdicts on those of these that were scanned."""
        query = select(blob_scans.c.digest, blob_scans.c.name, blob_scans.c.verdict)
        found: dict[Named, Verdict] = {}
        with self._database.read() as connection:
            for batch in _batches(wanted):
                for row in connection.execute(query.where(_is(batch))):
                    found[_digest(row.digest), row.name] = Verdict(row.verdict)
        return found

    def verdict_of(self, digest: Digest) -> Verdict | None:
        """The worst verdict on a blob under any name; None if it was never scanned."""
        query = select(blob_scans.c.verdict).where(blob_scans.c.digest == digest.raw)
        with self._database.read() as connection:
            found = [Verdict(value) for value in connection.execute(query).scalars()]
        return Verdict.worst(found) if found else None

    def get(self, wanted: Iterable[Named]) -> dict[Named, KeptScan]:
        """All that is kept of those of these that were scanned."""
        found: dict[Named, KeptScan] = {}
        with self._database.read() as connection:
            for batch in _batches(wanted):
                for row in connection.execute(select(blob_scans).where(_is(batch))):
                    kept = _kept(row)
                    found[kept.digest, kept.name] = kept
        return found

    def forget_unowned(self) -> int:
        """Drop scans of blobs that no repo holds any more; returns how many."""
        owned = exists().where(repo_blobs.c.digest == blob_scans.c.digest)
        with self._database.write() as connection:
            return connection.execute(delete(blob_scans).where(~owned)).rowcount


def _batches(wanted: Iterable[Named]) -> Iterable[list[Named]]:
    listed = list(dict.fromkeys(wanted))
    return (listed[start : start + _BATCH] for start in range(0, len(listed), _BATCH))


def _is(wanted: list[Named]) -> ColumnElement[bool]:
    one = (
        and_(blob_scans.c.digest == digest.raw, blob_scans.c.name == name)
        for digest, name in wanted
    )
    return or_(*one)


def _kept(row: Row[Any]) -> KeptScan:
    text = zlib.decompress(row.evidence).decode()
    return KeptScan(_digest(row.digest), row.name, Verdict(row.verdict), text)


def _digest(raw: bytes) -> Digest:
    return Digest.sha256(raw.hex())
