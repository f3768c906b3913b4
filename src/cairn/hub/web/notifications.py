"""What the visitor is told, with a button that says it was read."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from cairn.hub import threads
from cairn.hub.routing import RawRoute
from cairn.hub.web.posting import posted
from cairn.hub.web.visit import Visit, endpoint, whole_number
from cairn.workflows.access import require_person

PAGE_SIZE = 50


def _page(visit: Visit) -> Response:
    if visit.actor.account is None:
        return visit.redirect("/login?next=/notifications")
    require_person(visit.actor)
    before = visit.text("before")
    found = visit.house.catalog.notifications.of(
        visit.actor.name, PAGE_SIZE + 1, before=whole_number(before) if before else None
    )
    shown = found[:PAGE_SIZE]
    older = visit.with_query(before=shown[-1].id) if len(found) > PAGE_SIZE else None
    return visit.render(
        "notifications.html",
        shown=shown,
        first="/notifications" if before else None,
        older=older,
        newest=shown[0].id if shown and not before else None,
        now=visit.now,
    )


async def _read(request: Request) -> Response:
    posting = await posted(request)
    visit, form = posting.visit, posting.form
    require_person(visit.actor)
    kept = visit.house.catalog.notifications
    await threads.call(kept.mark_read, visit.actor.name, whole_number(form.get("up_to", "")))
    return visit.redirect("/notifications")


routes: list[BaseRoute] = [
    RawRoute("/notifications", endpoint(_page), ("GET", "HEAD")),
    RawRoute("/notifications/read", _read, ("POST",)),
]
