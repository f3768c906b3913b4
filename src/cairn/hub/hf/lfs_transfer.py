"""Moves LFS objects through signed URLs: whole, in parts, and back out.

These requests carry no Authorization: the signature over method, path, repo, size, expiry and who
asked for it is the permission. To read, whoever that is must still have the right to. Parts are
staged in blocks under the id of the attempt that sent them; that id is the part's ETag, so the
completion says which attempts belong together.
"""

import secrets
from dataclasses import dataclass
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from cairn.domain import Blob, Digest
from cairn.errors import ForbiddenError, NamingError, NotFoundError, RequestError
from cairn.hub import bodies, threads
from cairn.hub.blob_response import blob_response
from cairn.hub.hf.lfs import MAX_PARTS, OBJECTS, LfsResponse
from cairn.hub.identity import house_of, releasing_of
from cairn.hub.routing import raw_path, repo_routes
from cairn.hub.signing import Signer
from cairn.store import BlobWriter
from cairn.workflows.access import still_openable
from cairn.workflows.house import House
from cairn.workflows.upload import block_name, join_parts, parts_scope, receive

STAGED_BLOCK_BYTES = 8 << 20  # one file each: a 256 MiB part takes 32, and 8 MiB of memory
MAX_COMPLETION_BYTES = 2 << 20  # 10,000 parts with their ETags


@dataclass(frozen=True, slots=True)
class _Grant:
    """What a signed URL allows: this object in this repo."""

    uid: str
    blob: Blob
    claims: dict[str, str | int]


def _grant(request: Request) -> _Grant:
    signer: Signer = request.app.state.signer
    claims = signer.check_url(request.method, raw_path(request.scope), request.query_params)
    try:
        blob = Blob(Digest.sha256(request.path_params["oid"]), int(claims["size"]))
    except (NamingError, KeyError):
        raise ForbiddenError("this signed URL is for something else") from None
    return _Grant(str(claims["uid"]), blob, claims)


async def put_object(request: Request) -> Response:
    """Receive a whole object; it counts only if size and SHA-256 are as announced."""
    grant, house = _grant(request), house_of(request)
    _check_length(request, grant.blob.size_bytes)
    writer = await threads.call(house.store.writer)
    with writer:  # leaving it discards what was not finished
        async for block in bodies.filled(request):
            request.app.state.on_upload()
            await threads.call(_write, writer, block, grant.blob.size_bytes)
        await threads.call_long(receive, house, grant.uid, writer, grant.blob)
    return Response(status_code=200, headers={"ETag": f'"{grant.blob.digest.hex}"'})


def _write(writer: BlobWriter, block: memoryview, limit_bytes: int) -> None:
    if writer.size_bytes + len(block) > limit_bytes:
        raise RequestError(f"more than the {limit_bytes} bytes announced")
    writer.write(block)


def _check_length(request: Request, expected_bytes: int) -> None:
    declared = request.headers.get("content-length")
    if declared is not None and declared.isdecimal() and int(declared) != expected_bytes:
        raise RequestError(f"Content-Length is {declared}, {expected_bytes} bytes were announced")


async def put_part(request: Request) -> Response:
    """Receive one part; its ETag names this attempt."""
    grant, house = _grant(request), house_of(request)
    part, size = int(request.path_params["part"]), int(grant.claims["part_size"])
    _check_length(request, size)
    attempt = secrets.token_hex(16)
    scope = parts_scope(grant.uid, grant.blob.digest)
    received = number = 0
    async for batch in bodies.blocks(request, STAGED_BLOCK_BYTES):
        request.app.state.on_upload()
        received += sum(map(len, batch))
        if received > size:
            raise RequestError(f"part {part} has more than the {size} bytes announced")
        name = block_name(part, attempt, number)
        await threads.call(house.store.staging.put, scope, name, batch)
        number += 1
    if received != size:
        raise RequestError(f"part {part} has {received} bytes, {size} were announced")
    return Response(status_code=200, headers={"ETag": f'"{attempt}"'})


async def complete(request: Request) -> Response:
    """Join the parts and check the whole."""
    grant, house = _grant(request), house_of(request)
    body = await bodies.read_json(request, MAX_COMPLETION_BYTES)
    attempts = _attempts(body, int(grant.claims["parts"]))
    if body.get("oid", grant.blob.digest.hex) != grant.blob.digest.hex:
        raise RequestError("the body names another object than the URL")
    request.app.state.on_upload()
    with anyio.CancelScope(shield=True):  # a client that gave up will ask again: have it done
        await threads.call_long(join_parts, house, grant.uid, grant.blob, attempts)
    return LfsResponse({"success": True})


def _attempts(body: dict[str, Any], count: int) -> list[str]:
    parts = body.get("parts")
    if not isinstance(parts, list) or len(parts) != count or count > MAX_PARTS:
        raise RequestError(f"field 'parts' must list the {count} parts")
    found: dict[int, str] = {}
    for item in parts:
        number = item.get("partNumber") if isinstance(item, dict) else None
        etag = item.get("etag") if isinstance(item, dict) else None
        if not isinstance(number, int) or not isinstance(etag, str):
            raise RequestError("a part needs 'partNumber' and 'etag'")
        found[number] = etag.strip().strip('"')
    if sorted(found) != list(range(1, count + 1)):
        raise RequestError(f"the parts must be numbered 1 to {count}")
    return [found[number] for number in range(1, count + 1)]


async def get_object(request: Request) -> Response:
    """An object by its digest, for git-lfs."""
    grant, house = _grant(request), house_of(request)
    await threads.call(_check_reader, house, grant)
    await threads.call_long(releasing_of(request).release_blob, grant.uid, grant.blob)
    oid = grant.blob.digest.hex
    return blob_response(request, grant.blob, oid, oid, {})


def _check_reader(house: House, grant: _Grant) -> None:
    """Refuse what was signed for somebody who may not read it any more."""
    name, narrow = str(grant.claims.get("by", "")), bool(grant.claims.get("narrow"))
    still_openable(house, name, grant.uid, narrow=narrow)
    if not house.catalog.history.references(grant.uid, grant.blob.digest):
        raise NotFoundError(f"no file of this repo has {grant.blob.digest}")


routes: list[BaseRoute] = [
    *repo_routes(f"{OBJECTS}/{{oid}}", put_object, "PUT"),
    *repo_routes(f"{OBJECTS}/{{oid}}", get_object, "GET"),
    *repo_routes(f"{OBJECTS}/{{oid}}/parts/{{part}}", put_part, "PUT"),
    *repo_routes(f"{OBJECTS}/{{oid}}/complete", complete, "POST"),
]
