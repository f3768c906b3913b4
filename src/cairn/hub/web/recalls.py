"""What is recalled, and how far judging by new rules is: for administrators."""

from starlette.responses import Response
from starlette.routing import BaseRoute

from cairn.domain import ScanPolicy
from cairn.hub.identity import releasing_of
from cairn.hub.routing import RawRoute
from cairn.hub.web.visit import Visit, endpoint
from cairn.workflows.access import require_overseer
from cairn.workflows.recall import standing_recalls
from cairn.workflows.rejudging import rescan_progress

MAX_SHOWN = 50


def _page(visit: Visit) -> Response:
    if visit.actor.account is None:
        return visit.redirect("/login?next=/settings/recalls")
    require_overseer(visit.actor)
    releasing = releasing_of(visit.request)
    return visit.render(
        "recalls.html",
        recalls=standing_recalls(visit.house, MAX_SHOWN),
        rescan=rescan_progress(visit.house),
        policy=releasing.default,
        setting=releasing.setting,
        decided=visit.house.catalog.scan_policies.of_hub(),
        policies=list(ScanPolicy),
        advisories=visit.house.advisories.current(),
        limit=MAX_SHOWN,
        now=visit.now,
    )


routes: list[BaseRoute] = [
    RawRoute("/settings/recalls", endpoint(_page, long=True), ("GET", "HEAD")),
]
