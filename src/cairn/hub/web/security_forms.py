"""What people decide on security pages: waivers, appeals, policies. Each form leads back there."""

from datetime import datetime, timedelta

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from cairn.domain import Digest, ScanPolicy
from cairn.errors import RequestError
from cairn.hub import threads
from cairn.hub.identity import releasing_of
from cairn.hub.routing import RawRoute, repo_routes
from cairn.hub.web.posting import Posting, posted
from cairn.hub.web.session import local_target
from cairn.hub.web.visit import whole_number
from cairn.workflows import appealing, scan_policies, waiving
from cairn.workflows.browse import open_view

MOST_DAYS = 3650


async def _waive(request: Request) -> Response:
    posting = await posted(request)
    repo_id = posting.repo_id
    everywhere = posting.field("where") == "everywhere"

    def work() -> None:
        waiving.waive(
            posting.visit.house,
            posting.visit.actor,
            None if everywhere else repo_id,
            Digest.sha256(posting.field("sha256")),
            posting.field("rule"),
            posting.field("reason"),
            _ends(posting),
        )

    await threads.call(work)
    return _back(posting)


async def _revoke(request: Request) -> Response:
    posting = await posted(request)
    number = whole_number(request.path_params["number"])
    visit = posting.visit
    reason = posting.field("reason")
    await threads.call(waiving.revoke, visit.house, visit.actor, number, reason)
    return _back(posting)


async def _appeal(request: Request) -> Response:
    posting = await posted(request)
    visit, repo_id = posting.visit, posting.repo_id

    def work() -> None:
        view = open_view(visit.house, visit.actor, repo_id, visit.param("rev"))
        path, text = posting.form.get("path", ""), posting.field("text")
        appealing.appeal(visit.house, visit.actor, view, path, text)

    await threads.call(work)
    return _back(posting)


async def _answer(request: Request) -> Response:
    posting = await posted(request)
    visit, number = posting.visit, whole_number(request.path_params["number"])
    reason = posting.field("reason")
    answer = posting.field("answer")
    if answer == "uphold":
        await threads.call(appealing.uphold, visit.house, visit.actor, number, reason)
    elif answer == "waive":
        ends = _ends(posting)
        await threads.call(appealing.accept, visit.house, visit.actor, number, reason, ends)
    else:
        raise RequestError("answer with 'uphold' or 'waive'")
    return _back(posting)


async def _policy(request: Request) -> Response:
    posting = await posted(request)
    visit, repo_id = posting.visit, posting.repo_id
    policy = _chosen(posting)

    def work() -> None:
        house, actor = visit.house, visit.actor
        if actor.account is not None and actor.account.is_admin:
            scan_policies.decide_policy(house, actor, repo_id, policy)
        else:
            default = releasing_of(request).default
            scan_policies.want_policy(house, actor, repo_id, policy, default=default)

    await threads.call(work)
    return _back(posting)


async def _hub_policy(request: Request) -> Response:
    posting = await posted(request)
    visit, policy = posting.visit, _chosen(posting)
    await threads.call(scan_policies.decide_hub_policy, visit.house, visit.actor, policy)
    return _back(posting)


def _chosen(posting: Posting) -> ScanPolicy | None:
    """The policy that was chosen; None for none of its own."""
    chosen = posting.field("policy")
    if chosen not in ("default", *ScanPolicy):
        raise RequestError(f"{chosen[:40]!r} is no policy")
    return None if chosen == "default" else ScanPolicy(chosen)


def _ends(posting: Posting) -> datetime | None:
    """When a waiver ends: after so many days, or never."""
    days = posting.field("days")
    if not days:
        return None
    if not (days.isascii() and days.isdecimal() and 0 < int(days[:9]) <= MOST_DAYS):
        raise RequestError(f"days: a whole number from 1 to {MOST_DAYS}, or nothing")
    return posting.visit.now + timedelta(days=int(days))


def _back(posting: Posting) -> Response:
    return RedirectResponse(local_target(posting.field("back")), status_code=303)


routes: list[BaseRoute] = [
    *repo_routes("/security-waive", _waive, "POST"),
    *repo_routes("/security-appeal/{rev}", _appeal, "POST"),
    *repo_routes("/security-policy", _policy, "POST"),
    RawRoute("/security/policy", _hub_policy, ("POST",)),
    RawRoute("/security/waivers/{number}/revoke", _revoke, ("POST",)),
    RawRoute("/security/appeals/{number}/answer", _answer, ("POST",)),
]
