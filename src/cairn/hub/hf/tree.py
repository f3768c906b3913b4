"""Lists what a revision holds: directories page by page, and single paths by name."""

import base64
import binascii

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from cairn.domain import Entry
from cairn.errors import LimitError, RequestError
from cairn.hub import threads
from cairn.hub.bodies import flag, read_form_or_json
from cairn.hub.hf import shapes
from cairn.hub.hf.params import count_of, flag_of, next_link, repo_id_of, revision_of
from cairn.hub.hf.shapes import Json
from cairn.hub.identity import actor_of, house_of
from cairn.hub.routing import api_route
from cairn.workflows import browse
from cairn.workflows.browse import Node, View
from cairn.workflows.house import House
from cairn.workflows.standing import verdicts as verdicts_on

# As on the HF hub: naming the last commit of an entry costs a walk through history.
PAGE_ENTRIES = 1000
EXPANDED_PAGE_ENTRIES = 50
MAX_PATHS = 10_000


async def tree(request: Request) -> Response:
    """One page of a directory, or of everything below it."""
    actor = await actor_of(request)
    house = house_of(request)
    expand = flag_of(request, "expand")
    most = EXPANDED_PAGE_ENTRIES if expand else PAGE_ENTRIES
    view = await threads.call(browse.view, house, actor, repo_id_of(request), revision_of(request))
    page = await threads.call(
        browse.tree_page,
        house,
        view.revision,
        request.path_params.get("path", ""),
        recursive=flag_of(request, "recursive"),
        after=_decode_cursor(request.query_params.get("cursor")),
        limit=count_of(request, "limit", most, most),
    )
    headers = {"X-Repo-Commit": view.revision.id}
    if page.next_path is not None:
        headers |= next_link(request, cursor=_encode_cursor(page.next_path))
    shape = await threads.call(_shape, house, view, list(page.nodes), expand=expand)
    return JSONResponse(shape, headers=headers)


async def paths_info(request: Request) -> Response:
    """The entries that exist among the paths asked for; the others are left out."""
    actor = await actor_of(request)
    house = house_of(request)
    fields = await read_form_or_json(request)
    paths = fields.get("paths", [])
    if len(paths) > MAX_PATHS:
        raise LimitError(f"at most {MAX_PATHS} paths per request", source="paths-info")
    expand = flag(fields.get("expand", [""])[0] if fields.get("expand") else None)
    view = await threads.call(browse.view, house, actor, repo_id_of(request), revision_of(request))
    nodes = await threads.call(browse.nodes, house, view.revision, paths)
    shape = await threads.call(_shape, house, view, nodes, expand=expand)
    return JSONResponse(shape, headers={"X-Repo-Commit": view.revision.id})


def _shape(house: House, view: View, nodes: list[Node], *, expand: bool) -> list[Json]:
    changes = browse.last_changes(house, view, [one.path for one in nodes]) if expand else {}
    files = [one for one in nodes if isinstance(one, Entry)]
    verdicts = verdicts_on(house, view.repo.uid, files) if expand else {}
    return [
        shapes.node(one, changes.get(one.path), verdicts.get(one.path), expand=expand)
        for one in nodes
    ]


def _encode_cursor(path: str) -> str:
    return base64.urlsafe_b64encode(path.encode()).decode()


def _decode_cursor(cursor: str | None) -> str | None:
    if not cursor:
        return None
    try:
        return base64.b64decode(cursor, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise RequestError("the cursor is not one this hub gave out") from None


routes: list[BaseRoute] = [
    api_route("/tree/{revision}", tree, "GET"),
    api_route("/tree/{revision}/{path:path}", tree, "GET"),
    api_route("/paths-info/{revision}", paths_info, "POST"),
]
