"""Tells a client how to send each file (regular or LFS) and which it need not send."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from cairn.config import Settings
from cairn.domain import Actor, RepoId, check_path
from cairn.errors import RequestError
from cairn.hub import threads
from cairn.hub.bodies import read_json, text_field
from cairn.hub.hf.params import repo_id_of
from cairn.hub.identity import actor_of, house_of
from cairn.hub.routing import api_route
from cairn.workflows.house import House
from cairn.workflows.preupload import Offer, Plan, plan

MAX_FILES = 256  # what clients send at most (huggingface_hub/_commit_api.py)
MAX_SAMPLE_BYTES = 64 << 10


async def preupload(request: Request) -> Response:
    """Mode, whether `.gitignore` excludes it, and the id of what is there now, for each file."""
    actor = await actor_of(request)
    body = await read_json(request)
    files = body.get("files")
    if not isinstance(files, list) or not files:
        raise RequestError("field 'files' must be a list of files")
    if len(files) > MAX_FILES:
        raise RequestError(f"{len(files)} files in one request; send at most {MAX_FILES}")
    offers = [_offer(file, f"files[{at}]") for at, file in enumerate(files)]
    ignore = text_field(body, "gitIgnore") if body.get("gitIgnore") is not None else None
    plans = await threads.call(
        _plans,
        house_of(request),
        request.app.state.settings,
        actor,
        repo_id_of(request),
        request.path_params["revision"],
        offers,
        ignore,
    )
    return JSONResponse({"files": [_shape(one) for one in plans]})


def _plans(
    house: House,
    settings: Settings,
    actor: Actor,
    repo_id: RepoId,
    revision: str,
    offers: list[Offer],
    ignore: str | None,
) -> list[Plan]:
    limit = settings.max_regular_file_bytes
    return plan(house, actor, repo_id, revision, offers, ignore, max_regular_bytes=limit)


def _offer(file: object, where: str) -> Offer:
    if not isinstance(file, Mapping):
        raise RequestError(f"{where} must be an object")
    size = file.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise RequestError(f"{where}.size must be a number of bytes")
    path = check_path(text_field(dict(file), "path"))  # the commit would refuse it, too late
    return Offer(path, size, _sample(file.get("sample"), where))


def _sample(text: Any, where: str) -> bytes:
    if text is None:
        return b""
    try:
        if not isinstance(text, str) or len(text) > 2 * MAX_SAMPLE_BYTES:
            raise ValueError
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise RequestError(f"{where}.sample must be a little base64") from None


def _shape(one: Plan) -> dict[str, object]:
    shape: dict[str, object] = {
        "path": one.path,
        "uploadMode": "lfs" if one.lfs else "regular",
        "shouldIgnore": one.ignored,
    }
    if one.current_oid is not None:
        shape["oid"] = one.current_oid
    return shape


routes: list[BaseRoute] = [api_route("/preupload/{revision}", preupload, "POST")]
