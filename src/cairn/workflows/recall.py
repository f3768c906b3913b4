"""Recalls: who has a blob that turned out to be dangerous, what was made from it, who must know."""

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from cairn.catalog import Holding, RepoQuery, RepoRecord, VerdictChange
from cairn.domain import Account, Actor, Digest, Finding, RepoId, RepoType, Verdict
from cairn.errors import BlobNotFoundError, MalformedError, NotFoundError
from cairn.scanner import report_of
from cairn.workflows.access import named_reader
from cairn.workflows.house import House
from cairn.workflows.notifications import NoticeKind, notify, notify_admins, owners_of
from cairn.workflows.rejudging import evidence_of

TOLD_AT_ONCE = 50
"""Changes of one round: each reads the histories of the repos that hold the blob."""

MAX_DESCENDANTS = 1_000

_PAGE = 200
_HUB = Actor(Account("operator", "Operator of this machine", is_admin=True))
_RELATION = {RepoType.MODEL: "base_model", RepoType.DATASET: "dataset"}


@dataclass(frozen=True, slots=True)
class Descendant:
    """A model whose card says that it was made from `base`, which holds the blob or descends so."""

    repo: RepoId
    base: RepoId


@dataclass(frozen=True, slots=True)
class Recall:
    """All there is to know about a blob that should not be loaded.

    `verdict` is the worst under any of `names`; `findings` say why; `changes` tell since when,
    newest first, and are empty where it was so from its first scan.
    """

    digest: Digest
    verdict: Verdict
    names: tuple[str, ...]
    findings: tuple[Finding, ...]
    changes: tuple[VerdictChange, ...]
    holdings: tuple[Holding, ...]
    descendants: tuple[Descendant, ...]

    @property
    def repos(self) -> tuple[RepoId, ...]:
        """Those that hold it, each once."""
        return tuple(dict.fromkeys(one.repo for one in self.holdings))


def recall(house: House, digest: Digest) -> Recall:
    """Who has a blob, whatever the verdict on it is.

    Raises:
        BlobNotFoundError: no repo holds it, and nobody ever scanned it.
    """
    return _recall(house, digest, house.catalog.holdings.of([digest])[digest])


def standing_recalls(house: House, limit: int) -> list[Recall]:
    """The blobs whose verdict became dangerous and still is, the last first."""
    digests: dict[Digest, None] = {}
    for change in house.catalog.verdict_changes.for_worse(limit):
        verdict = house.catalog.blob_scans.verdict_of(change.digest)
        if verdict is not None and verdict.is_dangerous:
            digests.setdefault(change.digest)
    holdings = house.catalog.holdings.of(digests)
    return [_recall(house, digest, holdings[digest]) for digest in digests]


def _recall(house: House, digest: Digest, holdings: tuple[Holding, ...]) -> Recall:
    kept = house.catalog.blob_scans.of_blob(digest)
    if not kept and not holdings:
        raise BlobNotFoundError(f"no repo of this hub holds {digest.hex}")
    advisories = house.advisories.current()
    findings: dict[Finding, None] = {}
    for one in kept:
        with suppress(
            MalformedError, ValueError
        ):  # another version wrote it; it is read again before long
            report = report_of(one.name, 0, evidence_of(one), advisories, digest)
            findings.update(dict.fromkeys(report.findings))
    worst_first = sorted(findings, key=lambda finding: -finding.verdict.rank)
    return Recall(
        digest=digest,
        verdict=Verdict.worst(one.verdict for one in kept) if kept else Verdict.UNREAD,
        names=tuple(sorted(one.name for one in kept)),
        findings=tuple(worst_first),
        changes=tuple(house.catalog.verdict_changes.of(digest)),
        holdings=holdings,
        descendants=tuple(descendants(house, (one.repo for one in holdings))),
    )


def descendants(house: House, repos: Iterable[RepoId]) -> Iterator[Descendant]:
    """Models whose cards name one of these repos, or a model that does, and so on; each once."""
    waiting = deque(dict.fromkeys(repos))
    seen = set(waiting)
    while waiting and len(seen) <= MAX_DESCENDANTS:
        base = waiting.popleft()
        for record in _made_from(house, base):
            if record.id not in seen:
                seen.add(record.id)
                waiting.append(record.id)
                yield Descendant(record.id, base)


def _made_from(house: House, base: RepoId) -> Iterator[RepoRecord]:
    relation = _RELATION.get(base.type)
    if relation is None:
        return
    cursor: str | None = None
    while True:
        query = RepoQuery(
            RepoType.MODEL,
            tags=(f"{relation}:{base.full_name}",),
            limit=_PAGE,
            cursor=cursor,
            viewer=_HUB,
        )
        page = house.catalog.repos.search(query)
        yield from page.repos
        if page.next_cursor is None:
            return
        cursor = page.next_cursor


# --- telling people ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Told:
    """A change of a verdict that was told: about how many repos and descendants, to how many."""

    change: VerdictChange
    repos: int
    descendants: int
    people: int


def tell_changes(house: House) -> Iterator[Told]:
    """Tell owners and administrators of verdicts that became dangerous, and of those that no
    longer are. What was told is noted afterwards: a kill has it told again, never forgotten.
    """
    changes = house.catalog.verdict_changes.untold(TOLD_AT_ONCE)
    worth = [one for one in changes if one.is_recall or one.before.is_dangerous]
    holdings = house.catalog.holdings.of(one.digest for one in worth)
    for change in worth:
        held = holdings[change.digest]
        if change.is_recall:
            yield _tell_recall(house, change, held)
        else:
            people = _tell_owners(house, held, NoticeKind.VERDICT, _relief(change))
            yield Told(change, len({one.repo for one in held}), 0, people)
    house.catalog.verdict_changes.told(one.number for one in changes)


def _tell_recall(house: House, change: VerdictChange, held: tuple[Holding, ...]) -> Told:
    verdict = change.after.value
    told = _tell_owners(house, held, NoticeKind.RECALL, f"is judged {verdict} now: do not load it")
    made = list(descendants(house, (one.repo for one in held)))
    for one in made:
        told += _tell_maker(house, one, verdict)
    repos = len({one.repo for one in held})
    text = (
        f"{change.name or 'a file'} ({change.digest.hex[:12]}) is judged {verdict} now;"
        f" repos that hold it: {repos}, made from these: {len(made)}"
    )
    told += notify_admins(house, NoticeKind.RECALL, text, link="/settings/recalls")
    return Told(change, repos, len(made), told)


def _tell_owners(house: House, held: tuple[Holding, ...], kind: NoticeKind, what: str) -> int:
    told = 0
    for holding in held:
        with suppress(NotFoundError):  # deleted meanwhile
            record = house.catalog.repos.get(holding.repo)
            owners = owners_of(house, record.id.namespace)
            text = f"{record.id.full_name}: {holding.path} {what}"
            told += notify(house, owners, kind, text, link=f"/{record.id.url_path}", repo=record)
    return told


def _tell_maker(house: House, made: Descendant, verdict: str) -> int:
    """Tell who owns a descendant; only those who may know that the base exists."""
    try:
        base, record = house.catalog.repos.get(made.base), house.catalog.repos.get(made.repo)
        people = [
            name
            for name in owners_of(house, record.id.namespace)
            if not base.private or named_reader(house, name).may_read_private(base.id.namespace)
        ]
    except NotFoundError:
        return 0  # deleted meanwhile
    text = (
        f"{record.id.full_name} is made from {base.id.full_name}, which holds or was made from"
        f" a file that is judged {verdict} now"
    )
    link = f"/{record.id.url_path}"
    return notify(house, people, NoticeKind.RECALL, text, link=link, repo=record)


def _relief(change: VerdictChange) -> str:
    return f"is judged {change.after.value} now, no longer {change.before.value}"


def plain_recall(found: Recall) -> dict[str, Any]:
    """A recall as JSON values."""
    return {
        "sha256": found.digest.hex,
        "verdict": found.verdict.value,
        "names": list(found.names),
        "findings": [
            {"rule": one.rule, "verdict": one.verdict.value, "message": one.message}
            for one in found.findings
        ],
        "changes": [
            {
                "at": one.at.isoformat(),
                "name": one.name,
                "before": one.before.value,
                "after": one.after.value,
                "rules": one.rules,
            }
            for one in found.changes
        ],
        "holdings": [
            {
                "type": one.repo.type.value,
                "repo": one.repo.full_name,
                "path": one.path,
                "revisions": list(one.revisions),
                "refs": list(one.refs),
            }
            for one in found.holdings
        ],
        "descendants": [
            {
                "repo": one.repo.full_name,
                "base": {"type": one.base.type.value, "repo": one.base.full_name},
            }
            for one in found.descendants
        ],
    }
