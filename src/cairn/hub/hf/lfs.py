"""The git-lfs batch API: what to upload where, and where to download from.

https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md, with the multipart
transfer of huggingface_hub (`lfs.py`): `header` then maps part numbers to URLs.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from cairn.catalog import RepoRecord
from cairn.config import Settings
from cairn.domain import Actor, Blob, Digest, RepoId
from cairn.errors import NamingError, NotFoundError, RequestError
from cairn.hub import threads
from cairn.hub.bodies import read_json, text_field
from cairn.hub.hf.params import repo_id_of
from cairn.hub.hf.shapes import Json
from cairn.hub.identity import actor_of, house_of
from cairn.hub.routing import repo_routes
from cairn.hub.signing import Signer
from cairn.hub.urls import base_url
from cairn.workflows.access import openable, writable
from cairn.workflows.house import House
from cairn.workflows.quotas import Announced, check_announced
from cairn.workflows.upload import held, spared

MAX_OBJECTS = 1000  # git-lfs sends 100, huggingface_hub 256
MAX_PARTS = 10_000  # as S3: keeps the answer's list of URLs under a few megabytes
OBJECTS = ".git/info/lfs/objects"


class _ObjectError(RequestError):
    """One object of a batch cannot be served; the others can."""


class LfsResponse(JSONResponse):
    """JSON under git-lfs's own media type."""

    media_type = "application/vnd.git-lfs+json"


@dataclass(frozen=True, slots=True)
class _Links:
    """Writes the signed URLs of one repo's objects."""

    base: str
    record: RepoRecord
    actor: Actor
    signer: Signer
    settings: Settings

    def path(self, tail: str) -> str:
        return f"/{self.record.id.url_path}{OBJECTS}/{tail}"

    def signed(self, method: str, tail: str, blob: Blob, **claims: str | int) -> str:
        path = self.path(tail)
        full: dict[str, str | int] = {
            "uid": self.record.uid,
            "size": blob.size_bytes,
            "by": self.actor.name,
            "narrow": int(not self.actor.is_whole),
            **claims,
        }
        query = self.signer.url_query(method, path, full, self.settings.signed_url_ttl_s)
        return f"{self.base}{path}?{query}"

    def action(self, href: str, header: Mapping[str, str] | None = None) -> Json:
        action: Json = {"href": href, "expires_in": int(self.settings.signed_url_ttl_s)}
        return {**action, "header": dict(header)} if header else action


async def batch(request: Request) -> Response:
    """Actions for each object asked about."""
    actor = await actor_of(request)
    body = await read_json(request)
    objects = body.get("objects")
    if not isinstance(objects, list) or len(objects) > MAX_OBJECTS:
        raise RequestError(f"field 'objects' must be a list of at most {MAX_OBJECTS} objects")
    if body.get("hash_algo", "sha256") != "sha256":
        raise RequestError("the only hash_algo is sha256")
    operation = text_field(body, "operation")
    transfers = body.get("transfers") or ["basic"]
    multipart = isinstance(transfers, list) and "multipart" in transfers
    return await threads.call(
        _answer, request, actor, repo_id_of(request), operation, objects, multipart=multipart
    )


def _answer(
    request: Request,
    actor: Actor,
    repo_id: RepoId,
    operation: str,
    objects: list[Any],
    *,
    multipart: bool,
) -> Response:
    if operation not in ("upload", "download"):
        raise RequestError(f"unknown operation {operation[:40]!r}; known: upload, download")
    house = house_of(request)
    record = (writable if operation == "upload" else openable)(house, actor, repo_id)
    if operation == "upload":
        check_announced(house, record.id.namespace, _announced(objects))
    state = request.app.state
    links = _Links(base_url(request), record, actor, state.signer, state.settings)

    def one(blob: Blob) -> Json:
        if operation == "download":
            return _download(house, links, blob)
        return _upload(house, actor, links, blob, multipart=multipart)

    shapes = [_object(item, one) for item in objects]
    in_parts = any("chunk_size" in _upload_header(shape) for shape in shapes)
    transfer = "multipart" if in_parts else "basic"
    return LfsResponse({"transfer": transfer, "objects": shapes, "hash_algo": "sha256"})


def _announced(objects: list[Any]) -> list[Announced]:
    """What is to be sent; objects that make no sense are answered one by one."""
    found = []
    for item in objects:
        fields = item if isinstance(item, dict) else {}
        with suppress(_ObjectError, NamingError):
            blob = _blob(fields.get("oid"), fields.get("size"))
            found.append(Announced(blob.size_bytes, blob.digest))
    return found


def _upload_header(shape: Json) -> Json:
    header: Json = shape.get("actions", {}).get("upload", {}).get("header", {})
    return header


def _object(item: object, act: Callable[[Blob], Json]) -> Json:
    fields = item if isinstance(item, dict) else {}
    oid, size = fields.get("oid"), fields.get("size")
    shape: Json = {
        "oid": oid if isinstance(oid, str) and oid.isascii() else "",
        "size": size if isinstance(size, int) else 0,
    }
    try:
        return {**shape, "authenticated": True, **act(_blob(oid, size))}
    except (_ObjectError, NamingError) as error:
        return {**shape, "error": {"code": 422, "message": str(error)}}
    except NotFoundError as error:
        return {**shape, "error": {"code": 404, "message": str(error)}}


def _blob(oid: object, size: object) -> Blob:
    if not isinstance(oid, str) or not isinstance(size, int) or isinstance(size, bool):
        raise _ObjectError("an object needs 'oid' (64 hex digits) and 'size' (bytes)")
    return Blob(Digest.sha256(oid), size)


def _upload(house: House, actor: Actor, links: _Links, blob: Blob, *, multipart: bool) -> Json:
    settings = links.settings
    if blob.size_bytes > settings.max_file_bytes:
        raise _ObjectError(f"{blob.size_bytes} bytes; at most {settings.max_file_bytes} per file")
    known = spared(house, actor, links.record, blob.digest)
    if known is not None:
        if known.size_bytes != blob.size_bytes:
            raise _ObjectError(f"{blob.digest} has {known.size_bytes} bytes")
        return {}
    oid = blob.digest.hex
    verify = links.action(links.base + links.path("verify"))
    if not multipart or blob.size_bytes <= settings.lfs_multipart_threshold_bytes:
        upload = links.action(links.signed("PUT", oid, blob))
    else:
        upload = _multipart(links, blob)
    return {"actions": {"upload": upload, "verify": verify}}


def _multipart(links: _Links, blob: Blob) -> Json:
    part_bytes = max(links.settings.lfs_part_bytes, ceil(blob.size_bytes / MAX_PARTS))
    count = ceil(blob.size_bytes / part_bytes)
    oid = blob.digest.hex
    header = {"chunk_size": str(part_bytes)}
    for part in range(1, count + 1):
        length = min(part_bytes, blob.size_bytes - (part - 1) * part_bytes)
        tail = f"{oid}/parts/{part}"
        header[f"{part:05d}"] = links.signed("PUT", tail, blob, part_size=length)
    return links.action(links.signed("POST", f"{oid}/complete", blob, parts=count), header)


def _download(house: House, links: _Links, blob: Blob) -> Json:
    if not house.catalog.history.references(links.record.uid, blob.digest):
        raise NotFoundError(f"no file of this repo has {blob.digest}")
    kept = house.store.blob(blob.digest)
    return {
        "size": kept.size_bytes,
        "actions": {"download": links.action(links.signed("GET", blob.digest.hex, kept))},
    }


async def verify(request: Request) -> Response:
    """200 if the object has arrived in this repo with this size."""
    actor = await actor_of(request)
    body = await read_json(request)
    await threads.call(
        _verify, house_of(request), actor, repo_id_of(request), body.get("oid"), body.get("size")
    )
    return LfsResponse({"ok": True})


def _verify(house: House, actor: Actor, repo_id: RepoId, oid: object, size: object) -> None:
    record = writable(house, actor, repo_id)
    try:
        wanted = _blob(oid, size)
    except NamingError as error:
        raise RequestError(str(error)) from None
    if held(house, record, wanted.digest) != wanted:
        raise NotFoundError(f"{wanted.digest} with {wanted.size_bytes} bytes has not arrived here")


routes: list[BaseRoute] = [
    *repo_routes(f"{OBJECTS}/batch", batch, "POST"),
    *repo_routes(f"{OBJECTS}/verify", verify, "POST"),
]
