"""What scans found in a revision: file by file, with evidence, and as SARIF."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from cairn import __version__
from cairn.catalog import Waiver
from cairn.domain import Actor, FileReport, Finding, ScanPolicy, Verdict
from cairn.hub import threads
from cairn.hub.api.problems import PROBLEMS
from cairn.hub.api.repos import Asked, caller
from cairn.hub.identity import desk_of, house_of, releasing_of
from cairn.hub.urls import base_url
from cairn.scanner import extraction_version, judging_version
from cairn.scanner.reports import as_sarif
from cairn.workflows.security_report import (
    FileSecurity,
    RevisionSecurity,
    ScanState,
    as_scan_report,
    files_of,
    security_of,
)
from cairn.workflows.standing import Standing

router = APIRouter()

MAX_FINDINGS = 200
"""Findings told of one file."""

Filter = Literal["clean", "unread", "malformed", "suspicious", "malicious", "unscanned"]


class FoundAt(BaseModel):
    """Where in a file."""

    members: list[str] = Field(description="The way into archives and streams inside the file.")
    offset: int | None = Field(description="Bytes into the innermost of them.")
    pointer: str = Field(description="A JSON pointer or path of names where content is a tree.")


class WaiverTold(BaseModel):
    """Why a finding is let pass."""

    id: int
    rule: str
    sha256: str
    repo: str | None = Field(description="type/namespace/name; null: in every repo.")
    reason: str
    waived_by: str
    waived_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    revoked_by: str | None
    revoke_reason: str | None


class FindingTold(BaseModel):
    """Why a file is not clean."""

    rule: str
    rule_page: str = Field(description="What the rule means, for people.")
    verdict: Verdict
    message: str
    place: FoundAt
    advice: str
    excerpt: str
    waiver: WaiverTold | None = Field(description="What lets it pass; null: it counts.")


class FileTold(BaseModel):
    """How one file stands."""

    path: str
    size_bytes: int
    sha256: str
    state: ScanState
    failure: str = Field(description="Why its scan failed, if it did.")
    verdict: Verdict | None = Field(description="With waived findings left out; null: not known.")
    scan_verdict: Verdict | None = Field(description="With all findings.")
    forms: list[str] = Field(description="What its content was read as.")
    judged_at: datetime | None = Field(description="When the verdict was given.")
    rules_version: str | None = Field(description="By which rules.")
    extraction_version: str | None = Field(description="By what it was taken apart.")
    findings_total: int
    findings: list[FindingTold] = Field(description=f"At most {MAX_FINDINGS}.")


class SecurityReport(BaseModel):
    """How the files of a revision stand, the worst first."""

    commit: str
    policy: ScanPolicy
    verdict: Verdict | None = Field(description="Of the worst file; null: not all are scanned.")
    counts: dict[str, int] = Field(description="Files by verdict; `unscanned` have none.")
    rules_version: str
    extraction_version: str
    total: int = Field(description="Files that the filter leaves.")
    offset: int
    files: list[FileTold]


@router.get("/{kind}/{namespace}/{name}/security/{rev:path}", responses=PROBLEMS)
async def security(
    request: Request,
    actor: Annotated[Actor, Depends(caller)],
    asked: Asked,
    verdict: Annotated[Filter | None, Query(description="Only files that stand so.")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
) -> SecurityReport:
    """What scans found in the files of a revision, and what is not scanned yet."""
    house, releasing, desk = house_of(request), releasing_of(request), desk_of(request)

    def work() -> SecurityReport:
        view = asked.open(house, actor)
        found = security_of(house, view.repo, view.revision, releasing.default)
        chosen = found.chosen(wanted(verdict))
        shown = chosen[offset : offset + limit]
        files = files_of(house, view.repo.uid, found.policy, shown, desk)
        return SecurityReport(
            commit=view.revision.id,
            policy=found.policy,
            verdict=found.verdict,
            counts=counts(found),
            rules_version=judging_version(house.advisories.current()),
            extraction_version=extraction_version(),
            total=len(chosen),
            offset=offset,
            files=[_file(one, base_url(request)) for one in files],
        )

    return await threads.call_long(work)


@router.get(
    "/{kind}/{namespace}/{name}/sarif/{rev:path}",
    responses={**PROBLEMS, 200: {"content": {"application/sarif+json": {}}}},
    response_class=JSONResponse,
)
async def sarif(
    request: Request,
    actor: Annotated[Actor, Depends(caller)],
    asked: Asked,
) -> JSONResponse:
    """The same as SARIF 2.1.0, for code hosts and editors; waived findings are suppressed."""

    def work() -> JSONResponse:
        view = asked.open(house_of(request), actor)
        found = security_of(
            house_of(request), view.repo, view.revision, releasing_of(request).default
        )
        return sarif_response(request, found)

    return await threads.call_long(work)


def sarif_response(request: Request, found: RevisionSecurity) -> JSONResponse:
    """A revision's SARIF log as a download."""
    files = files_of(
        house_of(request), found.repo.uid, found.policy, found.entries, desk_of(request)
    )
    known = {one.entry.path: one.standing for one in files}

    def waived(file: FileReport, finding: Finding) -> str | None:
        standing = known[file.path]
        waiver = None if standing is None else standing.waiver_of(finding)
        return None if waiver is None else f"{waiver.waived_by}: {waiver.reason}"

    log = as_sarif(as_scan_report(files), __version__, waived=waived)
    name = f"{found.repo.id.name}-{found.revision.id[:12]}.sarif"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return JSONResponse(log, headers=headers, media_type="application/sarif+json")


def wanted(name: str | None) -> list[Verdict | None]:
    """The verdicts that a filter leaves; None for files without a scan."""
    if not name:
        return [*Verdict, None]
    return [None if name == "unscanned" else Verdict(name)]


def counts(found: RevisionSecurity) -> dict[str, int]:
    """Files by verdict, and those that were not scanned."""
    told = {verdict.value: found.count(verdict) for verdict in Verdict}
    return {**told, "unscanned": found.unscanned}


def waiver_told(waiver: Waiver) -> WaiverTold:
    """A waiver as this API tells of it."""
    repo = waiver.repo
    return WaiverTold(
        id=waiver.id,
        rule=waiver.rule,
        sha256=waiver.digest.hex,
        repo=f"{repo.type.plural}/{repo.full_name}" if repo else waiver.repo_uid,
        reason=waiver.reason,
        waived_by=waiver.waived_by,
        waived_at=waiver.waived_at,
        expires_at=waiver.expires_at,
        revoked_at=waiver.revoked_at,
        revoked_by=waiver.revoked_by,
        revoke_reason=waiver.revoke_reason,
    )


def _file(one: FileSecurity, base: str) -> FileTold:
    standing = one.standing
    found = () if standing is None else standing.report.findings
    return FileTold(
        path=one.entry.path,
        size_bytes=one.entry.blob.size_bytes,
        sha256=one.entry.blob.digest.hex,
        state=one.state,
        failure=one.failure,
        verdict=one.verdict,
        scan_verdict=None if standing is None else standing.report.verdict,
        forms=[] if standing is None else list(standing.report.forms),
        judged_at=None if standing is None else standing.scan.judged_at,
        rules_version=None if standing is None else standing.scan.rules,
        extraction_version=None if standing is None else standing.scan.extraction,
        findings_total=len(found),
        findings=[_finding(standing, finding, base) for finding in found[:MAX_FINDINGS]],
    )


def _finding(standing: Standing | None, finding: Finding, base: str) -> FindingTold:
    waiver = None if standing is None else standing.waiver_of(finding)
    place = finding.place
    told: dict[str, Any] = {
        "members": list(place.members),
        "offset": place.offset,
        "pointer": place.pointer,
    }
    return FindingTold(
        rule=finding.rule,
        rule_page=f"{base}/security/rules#{finding.rule}",
        verdict=finding.verdict,
        message=finding.message,
        place=FoundAt(**told),
        advice=finding.advice,
        excerpt=finding.excerpt,
        waiver=None if waiver is None else waiver_told(waiver),
    )
