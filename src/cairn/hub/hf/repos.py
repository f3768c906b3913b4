"""Creates, changes and deletes repos over the wire."""

from collections.abc import Mapping
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from cairn.domain import Actor, RepoId
from cairn.errors import ConflictError, RequestError
from cairn.hub import threads
from cairn.hub.bodies import read_json, text_field
from cairn.hub.hf.params import repo_id_of, repo_type_in
from cairn.hub.hf.shapes import Json
from cairn.hub.identity import actor_of, house_of, require_user
from cairn.hub.routing import RawRoute, api_route
from cairn.hub.urls import repo_url
from cairn.workflows.repos import (
    Gate,
    change_settings,
    create_repo,
    delete_repo,
    duplicate_repo,
)


def _named_repo(actor: Actor, body: Mapping[str, Any]) -> RepoId:
    """The repo a body names; without a namespace it is the caller's own.

    Raises:
        RequestError: the name is missing or no repo can have it.
    """
    name = text_field(dict(body), "name")
    namespace = text_field(dict(body), "organization", "") or actor.name
    if "/" in name:  # old clients send the full id as the name
        namespace, _, name = name.partition("/")
    return RepoId(repo_type_in(body), namespace, name)


def _private(body: Mapping[str, Any]) -> bool | None:
    """Visibility as 2.x (`visibility`) and older clients (`private`) say it; None if unsaid.

    Raises:
        RequestError: it is said in a way we do not know.
    """
    visibility, private = body.get("visibility"), body.get("private")
    if visibility in ("public", "private"):
        return bool(visibility == "private")
    if visibility is not None:
        raise RequestError(f"visibility must be 'public' or 'private', not {visibility!r:.40}")
    if private is None or isinstance(private, bool):
        return private
    raise RequestError("private must be true or false")


async def create(request: Request) -> Response:
    """Make a repo; 409 names the URL of the one that is there, for `exist_ok`."""
    actor = require_user(await actor_of(request))
    body = await read_json(request)
    repo_id = _named_repo(actor, body)
    sdk = text_field(body, "sdk", "") or None
    private = _private(body) or False
    try:
        record = await threads.call(
            create_repo, house_of(request), actor, repo_id, private=private, sdk=sdk
        )
    except ConflictError:
        return _exists(request, repo_id)
    shape: Json = {"name": record.id.full_name, "type": record.id.type.value}
    shape |= {"url": repo_url(request, record.id), "id": record.uid, "private": record.private}
    return JSONResponse(shape)


def _exists(request: Request, repo_id: RepoId) -> Response:
    text = f"You already created this {repo_id.type.value} repo"
    shape = {"error": text, "url": repo_url(request, repo_id), "name": repo_id.full_name}
    return JSONResponse(shape, 409, {"X-Error-Code": "Conflict", "X-Error-Message": text})


async def duplicate(request: Request) -> Response:
    """Make a repo from the files of the one in the path; 409 names the URL of what is there."""
    actor = require_user(await actor_of(request))
    body = await read_json(request)
    source = repo_id_of(request)
    target = RepoId.parse(source.type, text_field(body, "repository"))
    try:
        record = await threads.call(
            duplicate_repo, house_of(request), actor, source, target, private=_private(body)
        )
    except ConflictError:
        return _exists(request, target)
    return JSONResponse({"url": repo_url(request, record.id), "filesCopyPending": False})


async def delete(request: Request) -> Response:
    """Forget a repo."""
    actor = require_user(await actor_of(request))
    repo_id = _named_repo(actor, await read_json(request))
    await threads.call(delete_repo, house_of(request), actor, repo_id)
    return JSONResponse({"ok": True})


async def settings(request: Request) -> Response:
    """Change visibility, gating and, beyond what the HF API has, safetensors views."""
    actor = require_user(await actor_of(request))
    body = await read_json(request)
    record = await threads.call(
        change_settings,
        house_of(request),
        actor,
        repo_id_of(request),
        private=_private(body),
        gated=_gate(body.get("gated")),
        safetensors_views=_views(body.get("safetensorsViews")),
    )
    answer: Json = {"private": record.private, "gated": record.gated or False}
    said = record.safetensors_views
    return JSONResponse(answer | {"safetensorsViews": "default" if said is None else said})


def _views(value: object) -> bool | Literal["default"] | None:
    if value is None or isinstance(value, bool) or value == "default":
        return value
    raise RequestError("safetensorsViews must be true, false or 'default'")


def _gate(value: object) -> Gate | Literal[False] | None:
    if value is None or value is False or value in ("auto", "manual"):
        return value
    raise RequestError("gated must be 'auto', 'manual' or false")


routes: list[BaseRoute] = [
    RawRoute("/api/repos/create", create, ["POST"]),
    RawRoute("/api/repos/delete", delete, ["DELETE"]),
    api_route("/settings", settings, "PUT"),
    api_route("/duplicate", duplicate, "POST"),
]
