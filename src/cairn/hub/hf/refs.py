"""Branches, tags and the list of both."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from cairn.domain import Actor, Ref, RepoId
from cairn.hub import threads
from cairn.hub.bodies import read_json, text_field
from cairn.hub.hf.params import flag_of, repo_id_of
from cairn.hub.identity import actor_of, house_of
from cairn.hub.routing import api_route
from cairn.workflows import refs as verbs
from cairn.workflows.access import readable
from cairn.workflows.house import House


def _list(house: House, actor: Actor, repo_id: RepoId) -> list[Ref]:
    return house.catalog.history.refs(readable(house, actor, repo_id).uid)


async def list_refs(request: Request) -> Response:
    """Branches and tags with their commits; pull requests when asked for."""
    actor = await actor_of(request)
    found = await threads.call(_list, house_of(request), actor, repo_id_of(request))
    shape = {
        "branches": _shapes(found, "refs/heads/"),
        "converts": _shapes(found, "refs/convert/"),
        "tags": _shapes(found, "refs/tags/"),
    }
    if flag_of(request, "include_prs"):
        shape["pullRequests"] = _shapes(found, "refs/pr/")
    return JSONResponse(shape)


def _shapes(found: list[Ref], prefix: str) -> list[dict[str, str]]:
    return [
        {"name": ref.name.removeprefix(prefix), "ref": ref.name, "targetCommit": ref.commit}
        for ref in found
        if ref.name.startswith(prefix)
    ]


async def create_branch(request: Request) -> Response:
    """Make a branch, at `startingPoint` or at the default branch's head."""
    actor = await actor_of(request)
    body = await read_json(request)
    start = text_field(body, "startingPoint", "") or None
    name = request.path_params["branch"]
    await threads.call(
        verbs.create_branch, house_of(request), actor, repo_id_of(request), name, start
    )
    return JSONResponse({"ok": True})


async def delete_branch(request: Request) -> Response:
    """Remove a branch."""
    actor = await actor_of(request)
    name = request.path_params["branch"]
    await threads.call(verbs.delete_branch, house_of(request), actor, repo_id_of(request), name)
    return JSONResponse({"ok": True})


async def create_tag(request: Request) -> Response:
    """Make a tag at the revision in the path. Tags are lightweight: a message is not kept."""
    actor = await actor_of(request)
    body = await read_json(request)
    tag, at = text_field(body, "tag"), request.path_params["tag"]
    await threads.call(verbs.create_tag, house_of(request), actor, repo_id_of(request), tag, at)
    return JSONResponse({"ok": True})


async def delete_tag(request: Request) -> Response:
    """Remove a tag."""
    actor = await actor_of(request)
    name = request.path_params["tag"]
    await threads.call(verbs.delete_tag, house_of(request), actor, repo_id_of(request), name)
    return JSONResponse({"ok": True})


routes: list[BaseRoute] = [
    api_route("/refs", list_refs, "GET"),
    api_route("/branch/{branch:path}", create_branch, "POST"),
    api_route("/branch/{branch:path}", delete_branch, "DELETE"),
    api_route("/tag/{tag:path}", create_tag, "POST"),
    api_route("/tag/{tag:path}", delete_tag, "DELETE"),
]
