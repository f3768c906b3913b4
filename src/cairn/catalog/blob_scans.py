"""What scans found in a blob under a name that it has: by content, so in whatever repos it lies.

The name counts because loaders go by it: the same text is read as a template under one name and
by nobody under another.
"""

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    Row,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from cairn.catalog import verdict_changes
from cairn.catalog.database import Database, insert_if_new
from cairn.catalog.schema import blob_scans, repo_blobs, repos, unscanned_names
from cairn.domain import Blob, Digest, Verdict

_BATCH = 250  # blobs and names named in one query

# Made once: building it for each row takes longer than running it.
_JUDGE_AS_SEEN = (
    update(blob_scans)
    .where(
        blob_scans.c.digest == bindparam("of_digest"),
        blob_scans.c.name == bindparam("of_name"),
        blob_scans.c.rules == bindparam("seen_rules"),
        blob_scans.c.extraction == bindparam("seen_extraction"),
    )
    .values(
        rules=bindparam("now_rules"), verdict=bindparam("now_verdict"), judged_at=bindparam("now")
    )
)

Named = tuple[Digest, str]
"""A blob and the last part of a path it has."""


def scanned_name(path: str) -> str:
    """What of a path a scan goes by: loaders know files by the last part."""
    return path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class KeptScan:
    """What is kept of one scan: `evidence` is text that the scanner wrote."""

    digest: Digest
    name: str
    verdict: Verdict
    evidence: str
    extraction: str = ""
    rules: str = ""
    judged_at: datetime | None = None

    @property
    def named(self) -> Named:
        """What was scanned, under which name."""
        return self.digest, self.name


@dataclass(frozen=True, slots=True)
class ScanCounts:
    """How many scans are kept and how many of them wait for these rules; blobs never read so."""

    scans: int
    stale: int
    unread_blobs: int


class BlobScans:
    """One scan per blob and name, the last; its verdict stands until another one is put."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def due(self, extraction: str, limit: int) -> list[Blob]:
        """Blobs of repos that nobody scanned, or not with these extractors, most urgent first.

        That is: those that nobody ever scanned, so that hubs hold them back; then those most
        downloaded (with the repos they are in); then the smallest.
        """
        scanned = exists().where(blob_scans.c.digest == repo_blobs.c.digest)
        query = (
            select(repo_blobs.c.digest, repo_blobs.c.size_bytes)
            .join(repos, repos.c.uid == repo_blobs.c.repo)
            .where(_unread(extraction))
            .group_by(repo_blobs.c.digest, repo_blobs.c.size_bytes)
            .order_by(
                case((scanned, 1), else_=0),
                func.max(repos.c.downloads).desc(),
                repo_blobs.c.size_bytes,
                repo_blobs.c.digest,
            )
            .limit(limit)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [Blob(_digest(row.digest), row.size_bytes) for row in rows]

    def due_by_name(self, limit: int) -> list[Blob]:
        """Blobs of repos that came by a name they were not scanned under, most downloaded first."""
        query = (
            select(repo_blobs.c.digest, repo_blobs.c.size_bytes)
            .join(unscanned_names, unscanned_names.c.digest == repo_blobs.c.digest)
            .join(repos, repos.c.uid == repo_blobs.c.repo)
            .group_by(repo_blobs.c.digest, repo_blobs.c.size_bytes)
            .order_by(func.max(repos.c.downloads).desc(), repo_blobs.c.digest)
            .limit(limit)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [Blob(_digest(row.digest), row.size_bytes) for row in rows]

    def names_waiting(self, digest: Digest) -> list[str]:
        """The names that a blob came by since it was scanned under these."""
        query = select(unscanned_names.c.name).where(unscanned_names.c.digest == digest.raw)
        with self._database.read() as connection:
            return list(connection.execute(query.order_by(unscanned_names.c.name)).scalars())

    def wait(self, digest: Digest, names: Iterable[str]) -> None:
        """Note that a blob is to be scanned under these names as well."""
        with self._database.write() as connection:
            for name in names:
                insert_if_new(connection, unscanned_names, {"digest": digest.raw, "name": name})

    def seen(self, named: Iterable[Named]) -> None:
        """Note that these wait no more: they were scanned before."""
        with self._database.write() as connection:
            for digest, name in named:
                connection.execute(_waiting_no_more((digest, name)))

    def stale(self, rules: str, limit: int) -> list[Named]:
        """What was judged by other rules than these, most urgent first.

        That is: what is malicious, so that hubs hold it back; then what is most downloaded; then
        what was judged longest ago.
        """
        downloads = (
            select(func.max(repos.c.downloads))
            .join(repo_blobs, repos.c.uid == repo_blobs.c.repo)
            .where(repo_blobs.c.digest == blob_scans.c.digest)
            .scalar_subquery()
        )
        query = (
            select(blob_scans.c.digest, blob_scans.c.name)
            .where(blob_scans.c.rules != rules)
            .order_by(
                case((blob_scans.c.verdict == Verdict.MALICIOUS.value, 0), else_=1),
                func.coalesce(downloads, -1).desc(),
                blob_scans.c.judged_at.asc().nulls_first(),  # from before verdicts had a time
                blob_scans.c.digest,
                blob_scans.c.name,
            )
            .limit(limit)
        )
        with self._database.read() as connection:
            return [(_digest(row.digest), row.name) for row in connection.execute(query)]

    def stale_of(self, digests: Iterable[Digest], rules: str) -> list[Named]:
        """Of these blobs, what was judged by other rules than these."""
        listed = [digest.raw for digest in digests]
        query = select(blob_scans.c.digest, blob_scans.c.name).where(blob_scans.c.rules != rules)
        found: list[Named] = []
        with self._database.read() as connection:
            for start in range(0, len(listed), _BATCH):
                batch = blob_scans.c.digest.in_(listed[start : start + _BATCH])
                rows = connection.execute(query.where(batch))
                found += [(_digest(row.digest), row.name) for row in rows]
        return found

    def any_wait(self, rules: str, extraction: str) -> bool:
        """Whether anything waits for these rules or extractors."""
        stale = select(blob_scans.c.digest).where(blob_scans.c.rules != rules).limit(1)
        unread = select(repo_blobs.c.digest).where(_unread(extraction)).limit(1)
        held = repo_blobs.c.digest == unscanned_names.c.digest
        named = select(unscanned_names.c.name).join(repo_blobs, held).limit(1)
        with self._database.read() as connection:
            return any(
                connection.execute(query).first() is not None for query in (stale, named, unread)
            )

    def counts(self, rules: str, extraction: str) -> ScanCounts:
        """How much there is, and how much of it waits for these rules and extractors."""
        all_scans = select(func.count()).select_from(blob_scans)
        unread = select(func.count(repo_blobs.c.digest.distinct())).where(_unread(extraction))
        with self._database.read() as connection:
            return ScanCounts(
                connection.execute(all_scans).scalar_one(),
                connection.execute(all_scans.where(blob_scans.c.rules != rules)).scalar_one(),
                connection.execute(unread).scalar_one(),
            )

    def put(self, named: Named, extraction: str, rules: str, verdict: Verdict, text: str) -> None:
        """Keep a scan, in place of what is there of this blob and name.

        That the verdict became another one is recorded with it.
        """
        row = {
            "digest": named[0].raw,
            "name": named[1],
            "extraction": extraction,
            "rules": rules,
            "verdict": verdict.value,
            "evidence": zlib.compress(text.encode()),
            "judged_at": self._clock(),
        }
        stood = select(blob_scans.c.verdict).where(_is([named]))
        with self._database.write() as connection:
            before = connection.execute(stood).scalar()
            connection.execute(delete(blob_scans).where(_is([named])))
            connection.execute(insert(blob_scans).values(row))
            connection.execute(_waiting_no_more(named))
            if before is not None and before != verdict.value:
                self._note(connection, named, Verdict(before), verdict, rules)

    def judge(
        self, verdicts: Mapping[Named, Verdict], judged: Sequence[KeptScan], rules: str
    ) -> list[KeptScan]:
        """Note what these rules say of evidence that was kept, all in one transaction.

        What somebody else scanned or judged since stays as it is. Returns those of `judged`
        whose verdict became another one; that is recorded with it.
        """
        now = self._clock()
        changed = []
        with self._database.write() as connection:
            for kept in judged:
                verdict = verdicts[kept.named]
                row = {
                    "of_digest": kept.digest.raw,
                    "of_name": kept.name,
                    "seen_rules": kept.rules,
                    "seen_extraction": kept.extraction,
                    "now_rules": rules,
                    "now_verdict": verdict.value,
                    "now": now,
                }
                if not connection.execute(_JUDGE_AS_SEEN, row).rowcount:
                    continue
                if verdict is not kept.verdict:
                    self._note(connection, kept.named, kept.verdict, verdict, rules)
                    changed.append(kept)
        return changed

    def _note(
        self, connection: Connection, named: Named, before: Verdict, after: Verdict, rules: str
    ) -> None:
        row = {
            "digest": named[0].raw,
            "name": named[1],
            "before": before.value,
            "after": after.value,
            "rules": rules,
            "at": self._clock(),
        }
        verdict_changes.note(connection, [row])

    def forget_reading(self, named: Named) -> None:
        """Have a blob read again: its evidence is of no use. Its verdict stands until then."""
        change = update(blob_scans).where(_is([named]))
        with self._database.write() as connection:
            connection.execute(change.values(extraction=""))

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

    def of_blob(self, digest: Digest) -> list[KeptScan]:
        """All that is kept of a blob, by the names it was scanned under."""
        query = select(blob_scans).where(blob_scans.c.digest == digest.raw)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(blob_scans.c.name))
            return [_kept(row) for row in rows]

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
        named = exists().where(repo_blobs.c.digest == unscanned_names.c.digest)
        with self._database.write() as connection:
            connection.execute(delete(unscanned_names).where(~named))
            return connection.execute(delete(blob_scans).where(~owned)).rowcount


def _batches(wanted: Iterable[Named]) -> Iterable[list[Named]]:
    listed = list(dict.fromkeys(wanted))
    return (listed[start : start + _BATCH] for start in range(0, len(listed), _BATCH))


def _waiting_no_more(named: Named) -> Delete:
    digest, name = named
    return delete(unscanned_names).filter_by(digest=digest.raw, name=name)


def _is(wanted: list[Named]) -> ColumnElement[bool]:
    one = (
        and_(blob_scans.c.digest == digest.raw, blob_scans.c.name == name)
        for digest, name in wanted
    )
    return or_(*one)


def _kept(row: Row[Any]) -> KeptScan:
    text = zlib.decompress(row.evidence).decode()
    return KeptScan(
        _digest(row.digest),
        row.name,
        Verdict(row.verdict),
        text,
        row.extraction,
        row.rules,
        row.judged_at,
    )


def _unread(extraction: str) -> ColumnElement[bool]:
    """Blobs of repos of which no scan is kept, or one that other extractors made."""
    scanned = exists().where(blob_scans.c.digest == repo_blobs.c.digest)
    others = select(blob_scans.c.digest).where(blob_scans.c.extraction != extraction)
    return or_(~scanned, repo_blobs.c.digest.in_(others))


def _digest(raw: bytes) -> Digest:
    return Digest.sha256(raw.hex())
