"""Describes one repo at a revision: `model_info`, `dataset_info`, `space_info`."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from cairn.domain import Actor, RepoId
from cairn.hub import threads
from cairn.hub.hf import shapes
from cairn.hub.hf.contents import contents
from cairn.hub.hf.params import flag_of, many_of, repo_id_of, revision_of
from cairn.hub.hf.shapes import Json, WireResponse
from cairn.hub.identity import actor_of, house_of
from cairn.hub.routing import api_route
from cairn.workflows import browse
from cairn.workflows.access import readable
from cairn.workflows.house import House
from cairn.workflows.standing import verdicts


async def info(request: Request) -> Response:
    """The repo's description; with `expand`, only the ids and the keys asked for."""
    actor = await actor_of(request)
    expand = many_of(request, "expand")
    blobs = flag_of(request, "blobs")
    shape = await threads.call(
        _describe, house_of(request), actor, repo_id_of(request), revision_of(request), blobs=blobs
    )
    if flag_of(request, "securityStatus") or "securityRepoStatus" in expand:
        shape["securityRepoStatus"] = await threads.call(
            _security, house_of(request), actor, repo_id_of(request), revision_of(request)
        )
    # In a thread: a repo may have tens of thousands of files to name.
    return await threads.call(WireResponse, shapes.only(shape, expand) if expand else shape)


def _security(house: House, actor: Actor, repo_id: RepoId, revision: str | None) -> Json:
    record = readable(house, actor, repo_id)
    at = browse.head(house, record)
    if revision is not None:
        at = browse.view(house, actor, repo_id, revision).revision
    entries = {} if at is None else house.catalog.history.manifest(at.tree).entries
    return shapes.repo_security(entries, verdicts(house, record.uid, entries.values()))


def _describe(
    house: House, actor: Actor, repo_id: RepoId, revision: str | None, *, blobs: bool
) -> Json:
    record = readable(house, actor, repo_id)
    if revision is None:
        at = browse.head(house, record)
    else:
        at = browse.view(house, actor, repo_id, revision).revision
    shape = {**shapes.repo(record), **contents(house, record, at, blobs=blobs)}
    if at is not None:
        shape |= {"sha": at.id, "lastModified": shapes.timestamp(at.created_at)}
        if at.id != record.head:
            shape.pop("safetensors", None)  # counted at the head only
    return shape


routes: list[BaseRoute] = [
    api_route("", info, "GET"),
    api_route("/revision/{revision}", info, "GET"),
]
