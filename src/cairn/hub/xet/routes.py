"""The Xet endpoints: tokens beside the repo, everything else below `/cas/{scope}`.

Whatever is not implemented here answers 404: clients fall back on 404 and on nothing else.
Specification: https://huggingface.co/docs/xet/api
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute

from cairn.config import Settings
from cairn.domain import Actor, Blob, Digest, RepoId, RepoType
from cairn.errors import (
    ForbiddenError,
    NamingError,
    NotFoundError,
    QuotaError,
    RepoNotFoundError,
    RequestError,
)
from cairn.hub import threads
from cairn.hub.identity import actor_of, house_of, releasing_of
from cairn.hub.routing import RawRoute, api_route
from cairn.hub.signing import Claims, Signer
from cairn.hub.urls import base_url
from cairn.hub.xet import bodies, scopes, tokens
from cairn.hub.xet.answer import answer
from cairn.hub.xet.cas import Cas
from cairn.hub.xet.hashing import from_text, to_text
from cairn.hub.xet.progress import error_event, ingest_events
from cairn.hub.xet.reconstruction import reconstruction
from cairn.hub.xet.shard import MAX_SHARD_BYTES
from cairn.hub.xet.staged import NotStagedError, Staged
from cairn.hub.xet.state import state_of
from cairn.hub.xet.tokens import Access, Grant
from cairn.hub.xet.xorb import MAX_BODY_BYTES
from cairn.workflows.access import openable, still_openable, writable

DATA_URL_TTL_S = 3600  # clients ask for the reconstruction again when a URL has expired
DATA_BLOCK_BYTES = 1024 * 1024
UNKNOWN_STEP_S = 0.025  # many times what looking for a chunk takes
NDJSON = "application/x-ndjson"
_RANGE = re.compile(r"bytes=(?P<first>[0-9]{1,18})-(?P<last>[0-9]{1,18})\Z")
_EVERY_METHOD = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


async def write_token(request: Request) -> Response:
    """GET /api/{kind}/{repo}/xet-write-token/{revision}: where and with what to upload."""
    return await _token(request, Access.WRITE)


async def read_token(request: Request) -> Response:
    """GET /api/{kind}/{repo}/xet-read-token/{revision}: the same, to download."""
    return await _token(request, Access.READ)


async def _token(request: Request, access: Access) -> Response:
    house, actor = house_of(request), await actor_of(request)
    settings, signer = _settings(request), _signer(request)
    params = request.path_params
    try:
        repo_id = RepoId(RepoType.from_plural(params["kind"]), params["namespace"], params["name"])
    except NamingError as error:
        raise RepoNotFoundError(str(error)) from None
    now_s = house.clock().timestamp()

    def issue(actor: Actor) -> tuple[str, str, int]:
        repo = (writable if access is Access.WRITE else openable)(house, actor, repo_id)
        scope = scopes.current(signer, repo.uid, now_s, settings.xet_epoch_s)
        narrow = not actor.is_whole
        grant = Grant(access, repo.uid, repo.id, actor.name, is_narrow=narrow)
        return scopes.segment(scope, house.store.staging), *tokens.issue(signer, grant, now_s)

    segment, token, expires_at = await threads.call(issue, actor)
    url = f"{base_url(request)}/cas/{segment}"
    headers = {
        "X-Xet-Cas-Url": url,
        "X-Xet-Access-Token": token,
        "X-Xet-Token-Expiration": str(expires_at),
        "Cache-Control": "no-store",
    }
    return JSONResponse({"casUrl": url, "accessToken": token, "exp": expires_at}, headers=headers)


async def upload_xorb(request: Request) -> Response:
    """POST /v1/xorbs/default/{hash}: chunks that a shard will name."""
    cas, name = _cas(request, Access.WRITE), request.path_params["hash"]
    if await threads.call(cas.has_xorb, name):
        await bodies.drain(request, MAX_BODY_BYTES)
        return JSONResponse({"was_inserted": False})
    state = state_of(request)
    async with bodies.received(request, MAX_BODY_BYTES, state.budget, _on_upload(request)) as body:
        await threads.call_long(cas.add_xorb, name, body)
    return JSONResponse({"was_inserted": True})


async def ask_about_chunk(request: Request) -> Response:
    """GET /v1/chunks/{prefix}/{hash}: a shard of chunks the caller need not send, or 404.

    A chunk that they may not read is as unknown as one nobody has; so that the time tells
    nothing either, what is not known is answered at a full step after the question came. The
    first such answer is a guess: what uploads to this repo are likely to build on.
    """
    asked = time.monotonic()
    cas = _cas(request, Access.WRITE)
    runs = await threads.call(cas.runs_with, request.path_params["hash"])
    if not runs:
        if state_of(request).guessed.add(request.headers["authorization"]):
            runs = await threads.call(cas.likely_runs)
        await asyncio.sleep(-(time.monotonic() - asked) % UNKNOWN_STEP_S)
    if not runs:
        raise NotFoundError("this chunk is not known")
    epoch_s = _settings(request).xet_epoch_s
    key = scopes.chunk_key(_signer(request), cas.scope)
    body = await threads.call(answer, runs, key, *scopes.lifetime(cas.scope, epoch_s))
    return Response(body, media_type="application/octet-stream")


async def upload_shard(request: Request) -> Response:
    """POST /v1/shards: files made of uploaded chunks; answers when they are durable blobs."""
    cas, state = _cas(request, Access.WRITE), state_of(request)
    async with AsyncExitStack() as held:
        # The slot comes after the body: a client that sends slowly must not keep one.
        async with bodies.received(request, MAX_SHARD_BYTES, state.budget) as body:
            await held.enter_async_context(state.shard_slots)
            plans = await threads.call_long(cas.check_shard, body)
        on_upload = _on_upload(request)
        written = await threads.call_long(cas.add_files, plans, lambda _: on_upload())
    return JSONResponse({"result": int(written)})


async def upload_shard_with_progress(request: Request) -> Response:
    """POST /v2/shards: the same, with a line of JSON every second until it is done."""
    cas, state = _cas(request, Access.WRITE), state_of(request)
    async with bodies.received(request, MAX_SHARD_BYTES, state.budget) as body, state.shard_slots:
        try:
            plans = await threads.call_long(cas.check_shard, body)
        except (NotStagedError, QuotaError) as error:
            # An honest client may come here, and shows its user events but no error bodies.
            return Response(error_event(error), media_type=NDJSON)
    events = ingest_events(cas, plans, state, _on_upload(request))
    return StreamingResponse(events, media_type=NDJSON)


async def read_reconstruction(request: Request) -> Response:
    """GET /v1/reconstructions/{file}: where the bytes of an uploaded file are staged."""
    cas, signer = _cas(request, Access.READ), _signer(request)
    segment, name = request.path_params["scope"], request.path_params["file"]

    releasing = releasing_of(request)

    def terms() -> dict[str, object]:
        cas.check_reader()
        file = cas.file(name)

        def url_for(xorb: bytes, start: int, stop: int) -> str:
            path = f"/cas/{segment}/data/{to_text(xorb)}"
            claims: Claims = {
                "start": start,
                "stop": stop,
                "repo": cas.grant.repo_uid,
                "sha256": file.blob.digest.hex,
                "size": file.blob.size_bytes,
                "by": cas.grant.actor,
                "narrow": int(cas.grant.is_narrow),
            }
            query = signer.url_query("GET", path, claims, DATA_URL_TTL_S)
            return f"{base_url(request)}{path}?{query}"

        is_reader = cas.grant.access is Access.READ
        release = releasing.release_blob if is_reader else releasing.refuse_known
        release(cas.grant.repo_uid, file.blob)
        start, stop = _byte_range(request, file.blob.size_bytes)
        return reconstruction(file, cas.staged, start, stop, url_for)

    return JSONResponse(await threads.call_long(terms))


async def read_data(request: Request) -> Response:
    """GET /data/{hash}: stored bytes of a staged xorb, as far as the URL's signature allows."""
    signer, house = _signer(request), house_of(request)
    claims = signer.check_url("GET", request.scope["path"], request.query_params)
    try:
        low, high = int(claims["start"]), int(claims["stop"])
        blob = Blob(Digest.sha256(str(claims["sha256"])), int(claims["size"]))
        repo, name, narrow = str(claims["repo"]), str(claims["by"]), bool(claims["narrow"])
    except (NamingError, KeyError):
        raise ForbiddenError("this signed URL is for something else") from None
    start, stop = _byte_range(request, high, low)
    if start < low:
        raise HTTPException(416, f"this URL is for bytes {low} to {high - 1}")
    scope = scopes.scope_of_url(request.path_params["scope"])
    scopes.check_age(scope, house.clock().timestamp(), _settings(request).xet_epoch_s)

    def check() -> None:
        """What was decided and found since the URL was signed counts, too."""
        still_openable(house, name, repo, narrow=narrow)
        releasing_of(request).refuse_known(repo, blob)

    await threads.call(check)
    staged = Staged(house.store.staging, scope)
    blocks = staged.stream(from_text(request.path_params["hash"]), start, stop, DATA_BLOCK_BYTES)
    first = await threads.call(next, blocks)

    async def stream() -> AsyncIterator[bytes]:
        yield first
        async for block in threads.iterate(blocks):
            yield block

    headers = {
        "Content-Length": str(stop - start),
        "Content-Range": f"bytes {start}-{stop - 1}/{high}",
        "Accept-Ranges": "bytes",
    }
    return StreamingResponse(stream(), 206, headers, "application/octet-stream")


async def not_implemented(request: Request) -> Response:
    """Anything else: what the protocol has and this hub does not."""
    raise NotFoundError(f"no such Xet endpoint: {request.method} {request.scope['path'][:200]}")


def _cas(request: Request, needed: Access) -> Cas:
    """The staged data the request is about, after its token was checked."""
    house, settings, signer = house_of(request), _settings(request), _signer(request)
    grant = tokens.check(signer, request.headers.get("authorization"), needed)
    scope = scopes.admitted(
        request.path_params["scope"],
        signer,
        grant,
        house.clock().timestamp(),
        settings.xet_epoch_s,
    )
    return Cas(house, scope, grant, settings.max_file_bytes, state_of(request).inflight)


def _byte_range(request: Request, size_bytes: int, default_start: int = 0) -> tuple[int, int]:
    """Start and stop (exclusive) of the Range header, cut at `size_bytes`.

    Raises:
        RequestError: it is not one range of the form `bytes=first-last`.
        HTTPException: 416, it begins past the end.
    """
    header = request.headers.get("range")
    if header is None:
        return default_start, size_bytes
    found = _RANGE.match(header)
    if found is None or int(found["last"]) < int(found["first"]):
        raise RequestError(f"Range {header[:80]!r} is not of the form 'bytes=first-last'")
    if int(found["first"]) >= size_bytes:
        raise HTTPException(416, f"the range begins after the last of {size_bytes} bytes")
    return int(found["first"]), min(int(found["last"]) + 1, size_bytes)


def _on_upload(request: Request) -> Callable[[], None]:
    on_upload: Callable[[], None] = request.app.state.on_upload
    return on_upload


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


def _signer(request: Request) -> Signer:
    signer: Signer = request.app.state.signer
    return signer


routes: list[BaseRoute] = [
    api_route("/xet-write-token/{revision:path}", write_token),
    api_route("/xet-read-token/{revision:path}", read_token),
    RawRoute("/cas/{scope}/v1/xorbs/default/{hash}", upload_xorb, ("POST",)),
    # The specification says `default-merkledb`, the client `default`.
    RawRoute("/cas/{scope}/v1/chunks/default-merkledb/{hash}", ask_about_chunk),
    RawRoute("/cas/{scope}/v1/chunks/default/{hash}", ask_about_chunk),
    RawRoute("/cas/{scope}/v1/shards", upload_shard, ("POST",)),
    RawRoute("/cas/{scope}/v2/shards", upload_shard_with_progress, ("POST",)),
    RawRoute("/cas/{scope}/v1/reconstructions/{file}", read_reconstruction),
    RawRoute("/cas/{scope}/data/{hash}", read_data),
    RawRoute("/cas/{rest:path}", not_implemented, _EVERY_METHOD),
    RawRoute("/v1/{rest:path}", not_implemented, _EVERY_METHOD),
]
