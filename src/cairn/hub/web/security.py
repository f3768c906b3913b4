"""What scans found in a revision, and in one file of it with all that was decided about it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute

from cairn.catalog import Appeal, Waiver
from cairn.domain import Directory, Entry, Finding, ScanPolicy, Verdict
from cairn.errors import EntryNotFoundError, RequestError
from cairn.hub.api.security import counts, sarif_response, wanted
from cairn.hub.identity import desk_of, releasing_of
from cairn.hub.routing import repo_routes
from cairn.hub.web.repo_view import RepoView, load_repo
from cairn.hub.web.verdict_view import (
    Badge,
    badge_of,
    badge_of_revision,
    consequence_of,
    place_of,
    repo_badge,
    security_page,
    sentence_of,
)
from cairn.hub.web.visit import Visit, endpoint
from cairn.hub.web.wording import plural
from cairn.scanner import extraction_version, judging_version
from cairn.workflows import browse
from cairn.workflows.security_report import FileSecurity, ScanState, files_of, security_of
from cairn.workflows.standing import Standing

PAGE_SIZE = 50
MAX_FINDINGS_LISTED = 3
MAX_FINDINGS = 100
MAX_EXCERPT_CHARACTERS = 600
_FILTERS = (*[verdict.value for verdict in reversed(Verdict)], "unscanned")


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A finding as a page shows it."""

    badge: Badge
    rule: str
    message: str
    place: str
    advice: str
    excerpt: str
    waiver: Waiver | None


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file as a page shows it; `more` findings are not among those listed."""

    path: str
    link: str
    size_bytes: int
    badge: Badge
    forms: str
    failure: str
    findings: Sequence[FindingRow]
    more: int
    waived: int


def _revision(visit: Visit) -> Response:
    repo = load_repo(visit)
    context: dict[str, Any] = {
        "repo": repo,
        "tab": "security",
        "section": repo.record.id.type.plural,
    }
    if repo.revision is None:
        return visit.render("security.html", now=visit.now, **context)
    found = security_of(
        visit.house, repo.record, repo.revision, releasing_of(visit.request).default
    )
    chosen_filter = visit.text("verdict")
    if chosen_filter not in ("", *_FILTERS):
        raise RequestError(f"verdict {chosen_filter[:40]!r} is none of {', '.join(_FILTERS)}")
    chosen = found.chosen(wanted(chosen_filter))
    number = visit.page_number()
    start = (number - 1) * PAGE_SIZE
    shown = chosen[start : start + PAGE_SIZE]
    if number > 1 and not shown:
        raise EntryNotFoundError(f"there is no page {number} of these files")
    files = files_of(visit.house, repo.record.uid, found.policy, shown, desk_of(visit.request))
    by_verdict = counts(found)
    return visit.render(
        "security.html",
        now=visit.now,
        **context,
        safety=badge_of_revision(found),
        sentence=sentence_of(found),
        files=[_file_row(repo, one, MAX_FINDINGS_LISTED) for one in files],
        loaders=_loaders(files),
        total=len(found.entries),
        filters=[(name, by_verdict[name]) for name in _FILTERS if by_verdict[name]],
        chosen=chosen_filter,
        waits=found.unscanned and found.policy is not ScanPolicy.ALLOW,
        policy=found.policy,
        policy_choices=_policy_choices(visit, repo),
        rules=judging_version(visit.house.advisories.current()),
        extraction=extraction_version(),
        previous=visit.with_query(page=number - 1) if number > 1 else None,
        next=visit.with_query(page=number + 1) if start + PAGE_SIZE < len(chosen) else None,
        note=f"{start + 1} to {start + len(shown)} of {plural(len(chosen), 'file')}",
    )


def _file(visit: Visit) -> Response:
    repo = load_repo(visit)
    if repo.revision is None:
        raise EntryNotFoundError("this repository has no files yet")
    entry = browse.node(visit.house, repo.revision, visit.param("path").strip("/"))
    if isinstance(entry, Directory):
        raise EntryNotFoundError(f"{entry.path[:200]!r} is a folder", commit=repo.revision.id)
    uid = repo.record.uid
    policy = releasing_of(visit.request).policy_of(uid)
    (found,) = files_of(visit.house, uid, policy, [entry], desk_of(visit.request))
    is_admin = bool(visit.actor.account and visit.actor.account.is_admin)
    may_write = visit.actor.may_write(repo.record.id.namespace)
    return visit.render(
        "security_file.html",
        repo=repo,
        tab="security",
        section=repo.record.id.type.plural,
        now=visit.now,
        entry=entry,
        row=_file_row(repo, found, MAX_FINDINGS),
        safety=repo_badge(visit, repo),
        scan=found.standing.scan if found.standing else None,
        loaders=_loaders([found]),
        waits=found.state in (ScanState.QUEUED, ScanState.SCANNING),
        title=_title(found),
        consequence=consequence_of(found.verdict, policy),
        advice=_advice(found, policy),
        waivers=visit.house.catalog.waivers.of(entry.blob.digest, uid, 50),
        appeals=_appeals(visit, uid, entry) if may_write else [],
        may_appeal=may_write and _is_appealable(visit, uid, found),
        is_admin=is_admin and may_write,
    )


def _sarif(visit: Visit) -> Response:
    repo = load_repo(visit)
    if repo.revision is None:
        raise EntryNotFoundError("this repository has no files yet")
    default = releasing_of(visit.request).default
    found = security_of(visit.house, repo.record, repo.revision, default)
    return sarif_response(visit.request, found)


def _loaders(files: Iterable[FileSecurity]) -> list[str]:
    """Which releases of what loads these files have no flaw that is known."""
    reports = [file.standing.report for file in files if file.standing is not None]
    return sorted({str(floor) for report in reports for floor in report.loaders})


def _file_row(repo: RepoView, file: FileSecurity, most: int) -> FileRow:
    standing, entry = file.standing, file.entry
    found = () if standing is None else standing.report.findings
    return FileRow(
        path=entry.path,
        link=security_page(repo, entry.path),
        size_bytes=entry.blob.size_bytes,
        badge=badge_of(file.verdict, file.state),
        forms=", ".join(standing.report.forms[:4]) if standing else "",
        failure=file.failure,
        findings=rows_of(standing, most),
        more=max(0, len(found) - most),
        waived=sum(standing.waiver_of(one) is not None for one in found) if standing else 0,
    )


def rows_of(standing: Standing | None, most: int) -> list[FindingRow]:
    """The findings in a file, those that count first, then the worst."""
    if standing is None:
        return []
    found = sorted(
        standing.report.findings,
        key=lambda one: (standing.waiver_of(one) is not None, -one.verdict.rank),
    )
    return [_finding_row(one, standing.waiver_of(one)) for one in found[:most]]


def _finding_row(finding: Finding, waiver: Waiver | None) -> FindingRow:
    excerpt = finding.excerpt
    if len(excerpt) > MAX_EXCERPT_CHARACTERS:
        excerpt = f"{excerpt[:MAX_EXCERPT_CHARACTERS]}…"
    return FindingRow(
        badge=badge_of(finding.verdict),
        rule=finding.rule,
        message=finding.message,
        place=place_of(finding),
        advice=finding.advice,
        excerpt=excerpt,
        waiver=waiver,
    )


def _title(file: FileSecurity) -> str:
    """What the verdict means."""
    if file.verdict is Verdict.CLEAN and file.standing and file.standing.report.findings:
        return "Nothing counts of what was found: an administrator let it pass"
    return badge_of(file.verdict, file.state).title


def _advice(file: FileSecurity, policy: ScanPolicy) -> str:
    """What owners can do."""
    if file.state is ScanState.FAILED:
        return "Push the file again; if that does not help, tell an administrator of this hub."
    if file.verdict is None or file.verdict is Verdict.CLEAN:
        return ""
    held = policy is ScanPolicy.HOLD and file.verdict is Verdict.MALICIOUS
    words = "Push weights without code in its place" if held else "Better without code"
    return f"{words}: `cairn convert` writes safetensors of any checkpoint without loading it."


def _appeals(visit: Visit, uid: str, entry: Entry) -> list[Appeal]:
    return visit.house.catalog.appeals.of(uid, entry.blob.digest)


def _is_appealable(visit: Visit, uid: str, file: FileSecurity) -> bool:
    if file.verdict is None or file.verdict is Verdict.CLEAN:
        return False
    return visit.house.catalog.appeals.has_room(uid, file.entry.blob.digest)


def _policy_choices(visit: Visit, repo: RepoView) -> list[tuple[str, str, bool]]:
    """What a visitor may choose for the repo: value, words, whether it is chosen now."""
    record = repo.record
    if not visit.actor.may_write(record.id.namespace):
        return []
    default = releasing_of(visit.request).default
    own = visit.house.catalog.scan_policies.of(record.uid)
    account = visit.actor.account
    if account is not None and account.is_admin:
        choices = [("default", f"as the hub: {default}", own.floor is None)]
        return choices + [(one.value, one.value, own.floor is one) for one in ScanPolicy]
    floor = own.floor or default
    stricter = [one for one in ScanPolicy if one.strictness > floor.strictness]
    choices = [("default", f"as the hub: {floor}", own.wanted is None)]
    return choices + [(one.value, one.value, own.wanted is one) for one in stricter]


routes: list[BaseRoute] = [
    *repo_routes("/security/{rev}", endpoint(_revision, long=True), "GET", "HEAD"),
    *repo_routes("/security/{rev}/{path:path}", endpoint(_file, long=True), "GET", "HEAD"),
    *repo_routes("/sarif/{rev}", endpoint(_sarif, long=True), "GET", "HEAD"),
]
