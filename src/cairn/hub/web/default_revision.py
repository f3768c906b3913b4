"""Addresses of a repo's pages without a revision lead to those of its default branch."""

from functools import partial

from starlette.responses import Response
from starlette.routing import BaseRoute

from cairn.hub.routing import repo_routes
from cairn.hub.web.repo_view import load_repo
from cairn.hub.web.visit import Visit, endpoint

TABS = (
    *("tree", "commits", "tensors", "storage", "security", "weights", "training", "estimate"),
    "card",
)


def _to_default(tab: str, visit: Visit) -> Response:
    repo = load_repo(visit)
    query = visit.request.url.query
    path = f"/{repo.record.id.url_path}/{tab}/{repo.here}"
    return visit.redirect(f"{path}?{query}" if query else path)


routes: list[BaseRoute] = [
    route
    for tab in TABS
    for route in repo_routes(f"/{tab}", endpoint(partial(_to_default, tab)), "GET", "HEAD")
]
