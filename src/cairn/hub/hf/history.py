"""The commits behind a revision, newest first."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from cairn.domain import Actor, RepoId, Revision
from cairn.hub import threads
from cairn.hub.hf import shapes
from cairn.hub.hf.params import count_of, many_of, next_link, repo_id_of
from cairn.hub.identity import actor_of, house_of
from cairn.hub.routing import api_route
from cairn.workflows import browse
from cairn.workflows.house import House

PAGE_COMMITS = 50
MAX_PAGE_COMMITS = 1000
MAX_PAGES = 10_000_000


def _read(
    house: House, actor: Actor, repo_id: RepoId, revision: str, limit: int, page: int
) -> tuple[str, list[Revision], int]:
    view = browse.view(house, actor, repo_id, revision)
    found = browse.log(house, view, limit=limit, offset=page * limit)
    total = house.catalog.history.count_commits(view.repo.uid, view.revision.id)
    return view.revision.id, found, total


async def commits(request: Request) -> Response:
    """One page of commits; `p` counts pages from 0."""
    actor = await actor_of(request)
    limit = count_of(request, "limit", PAGE_COMMITS, MAX_PAGE_COMMITS)
    page = count_of(request, "p", 0, MAX_PAGES, least=0)
    revision = request.path_params["revision"]
    head, found, total = await threads.call(
        _read, house_of(request), actor, repo_id_of(request), revision, limit, page
    )
    formatted = "formatted" in many_of(request, "expand")
    headers = {"X-Total-Count": str(total), "X-Repo-Commit": head}
    if (page + 1) * limit < total:
        headers |= next_link(request, p=str(page + 1))
    return JSONResponse([shapes.commit(one, formatted=formatted) for one in found], headers=headers)


routes: list[BaseRoute] = [api_route("/commits/{revision}", commits, "GET")]
