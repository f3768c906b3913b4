"""Requests for access to gated repos, as `huggingface_hub` lists and decides them."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from cairn.catalog import AccessRequest
from cairn.domain import AccessState, Actor, RepoId
from cairn.errors import ConflictError, NotFoundError, RequestError
from cairn.hub import threads
from cairn.hub.bodies import read_json, text_field
from cairn.hub.hf import shapes
from cairn.hub.hf.params import count_of, next_link, repo_id_of
from cairn.hub.identity import actor_of, house_of
from cairn.hub.routing import api_route
from cairn.workflows import gate
from cairn.workflows.house import House

PAGE_REQUESTS = 1000  # clients before 1.0 read the first page only
MAX_PAGES = 10_000_000
_STATES = "|".join(state.value for state in AccessState)


async def requests(request: Request) -> Response:
    """Those in one state; `p` counts pages from 0."""
    actor = await actor_of(request)
    limit = count_of(request, "limit", PAGE_REQUESTS, PAGE_REQUESTS)
    page = count_of(request, "p", 0, MAX_PAGES, least=0)
    state = AccessState(request.path_params["state"])

    def read() -> list[AccessRequest]:
        house = house_of(request)
        record = gate.decidable(house, actor, repo_id_of(request))
        kept = house.catalog.access_requests
        return kept.listed(record.uid, state, limit + 1, page * limit)

    found = await threads.call(read)
    headers = next_link(request, p=str(page + 1)) if len(found) > limit else {}
    return JSONResponse([_shape(one) for one in found[:limit]], headers=dict(headers))


def _shape(one: AccessRequest) -> shapes.Json:
    user = {
        "user": one.person.name,
        "fullname": one.person.full_name or one.person.name,
        # Who asked agreed to this; who was let in unasked did not.
        "email": one.person.email if one.was_asked else None,
    }
    told: shapes.Json = {
        "requestId": one.uid,
        "user": user,
        "status": one.state.value,
        "timestamp": shapes.timestamp(one.asked_at),
        "fields": one.answers or None,
        "message": one.message,
    }
    if one.decided_at is not None:
        told |= {"reviewedAt": shapes.timestamp(one.decided_at), "reviewedBy": one.decided_by}
    return told | ({"rejectionReason": one.reason} if one.reason else {})


async def handle(request: Request) -> Response:
    """Accept, reject or take back, by `user` or `requestId`."""
    actor = await actor_of(request)
    body = await read_json(request)
    await threads.call(_handle, house_of(request), actor, repo_id_of(request), body)
    return JSONResponse({"ok": True})


def _handle(house: House, actor: Actor, repo_id: RepoId, body: dict[str, Any]) -> None:
    record = gate.decidable(house, actor, repo_id)
    state = _state(text_field(body, "status"))
    reason = text_field(body, "rejectionReason", "")
    if reason and state is not AccessState.REJECTED:
        raise RequestError("field 'rejectionReason' goes with the status 'rejected' only")
    person = text_field(body, "user", "")
    if not person:
        number = text_field(body, "requestId")
        person = house.catalog.access_requests.get(record.uid, number).person.name
    try:
        gate.decide(house, actor, record.id, person, state, reason)
    except ConflictError as error:  # what the client documents for a request in that list
        raise NotFoundError(str(error)) from None


def _state(text: str) -> AccessState:
    try:
        return AccessState(text)
    except ValueError:
        raise RequestError(
            f"status must be pending, accepted or rejected, not {text[:40]!r}"
        ) from None


async def grant(request: Request) -> Response:
    """Let in a person who need not have asked."""
    actor = await actor_of(request)
    body = await read_json(request)
    await threads.call(_grant, house_of(request), actor, repo_id_of(request), body)
    return JSONResponse({"ok": True})


def _grant(house: House, actor: Actor, repo_id: RepoId, body: dict[str, Any]) -> None:
    record = gate.decidable(house, actor, repo_id)
    try:
        gate.grant(house, actor, record.id, text_field(body, "user"))
    except ConflictError as error:  # 400 is what the client documents
        raise RequestError(str(error)) from None


routes: list[BaseRoute] = [
    api_route(f"/user-access-request/{{state:{_STATES}}}", requests),
    api_route("/user-access-request/handle", handle, "POST"),
    api_route("/user-access-request/grant", grant, "POST"),
]
