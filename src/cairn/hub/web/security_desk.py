"""Pages about scans that belong to no repo: the rules, and what administrators have to decide."""

from dataclasses import dataclass

from markupsafe import Markup
from starlette.responses import Response
from starlette.routing import BaseRoute

from cairn.catalog import Appeal, Waiver
from cairn.domain import Digest
from cairn.errors import EntryNotFoundError
from cairn.hub.routing import RawRoute
from cairn.hub.web.security import FindingRow, rows_of
from cairn.hub.web.verdict_view import Badge, badge_of
from cairn.hub.web.visit import Visit, endpoint, whole_number
from cairn.hub.web.wording import coded, path_url, plural
from cairn.scanner import RULES, rules_version
from cairn.scanner.pages import page_of
from cairn.workflows.access import require_overseer
from cairn.workflows.appealing import standing_of
from cairn.workflows.waiving import security_link

MAX_APPEALS = 50
MAX_WAIVERS = 100
MAX_NAMES = 3  # of the file a waiver is about


@dataclass(frozen=True, slots=True)
class RuleText:
    """A rule as a page explains it."""

    name: str
    title: str
    paragraphs: list[Markup]


@dataclass(frozen=True, slots=True)
class AppealRow:
    """An appeal with what the scan of its file says now."""

    appeal: Appeal
    link: str
    badge: Badge
    findings: list[FindingRow]


def _rules(visit: Visit) -> Response:
    pages = [page_of(rule) for rule in RULES]
    rules = [
        RuleText(
            page.name, page.title, [coded(" ".join(one.split())) for one in page.text.split("\n\n")]
        )
        for page in sorted(pages, key=lambda page: page.name)
    ]
    return visit.render("security_rules.html", rules=rules, rules_version=rules_version())


def _appeals(visit: Visit) -> Response:
    if visit.actor.account is None:
        return visit.redirect("/login?next=/security/appeals")
    require_overseer(visit.actor)
    kept, number = visit.house.catalog.appeals, visit.page_number()
    start = (number - 1) * MAX_APPEALS
    waiting, answered = kept.open(MAX_APPEALS, start), kept.answered(MAX_APPEALS, start)
    count, past = kept.count_open(), kept.count_answered()
    if number > 1 and not waiting and not answered:
        raise EntryNotFoundError(f"there is no page {number} of these appeals")
    return visit.render(
        "security_appeals.html",
        waiting=[_appeal_row(visit, one) for one in waiting],
        count=count,
        answered=[(one, _file_link(visit, one)) for one in answered],
        previous=visit.with_query(page=number - 1) if number > 1 else None,
        next=visit.with_query(page=number + 1) if start + MAX_APPEALS < max(count, past) else None,
        note=f"{plural(count, 'appeal')} waiting, {past:,} answered",
        now=visit.now,
    )


def _appeal_row(visit: Visit, appeal: Appeal) -> AppealRow:
    standing = standing_of(visit.house, appeal)
    return AppealRow(
        appeal=appeal,
        link=_file_link(visit, appeal),
        badge=badge_of(standing.verdict if standing else None),
        findings=rows_of(standing, 5),
    )


def _file_link(visit: Visit, appeal: Appeal) -> str:
    record = visit.house.catalog.repos.get_by_uid(appeal.repo_uid)
    return f"{visit.base}{security_link(record, appeal.path)}"


def _names(visit: Visit, waivers: list[Waiver]) -> dict[Digest, str]:
    """What the files of these were called when they were scanned."""
    scans = visit.house.catalog.blob_scans
    return {
        digest: ", ".join(scan.name for scan in scans.of_blob(digest)[:MAX_NAMES])
        for digest in {waiver.digest for waiver in waivers}
    }


def _waivers(visit: Visit) -> Response:
    if visit.actor.account is None:
        return visit.redirect("/login?next=/security/waivers")
    require_overseer(visit.actor)
    before = visit.text("before")
    found = visit.house.catalog.waivers.newest(
        MAX_WAIVERS + 1, before=whole_number(before) if before else None
    )
    waivers = found[:MAX_WAIVERS]
    return visit.render(
        "security_waivers.html",
        waivers=waivers,
        names=_names(visit, waivers),
        first="/security/waivers" if before else None,
        older=visit.with_query(before=waivers[-1].id) if len(found) > MAX_WAIVERS else None,
        now=visit.now,
        repo_link=lambda repo: f"{visit.base}/{path_url(repo.url_path)}/security",
    )


routes: list[BaseRoute] = [
    RawRoute("/security/rules", endpoint(_rules), ("GET", "HEAD")),
    RawRoute("/security/appeals", endpoint(_appeals, long=True), ("GET", "HEAD")),
    RawRoute("/security/waivers", endpoint(_waivers), ("GET", "HEAD")),
]
